"""Whatever the bytes of a table are: an error that a user can read, or rows that can be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.core.errors import InputError
from holdfast.data.columns import column_from_dict
from holdfast.data.new_rows import read_like
from holdfast.data.rows import Rows

ReadTable = Callable[..., Rows]
CELLS = st.sampled_from(
    ["", "1", "2", "-3.5", "1e5", "1e400", "inf", "nan", "NA", "?", "a", "b", " a ", "é", "true", "False", "2020-01-02"]
    + ["12:30", "1,5", '"x"', '"', '"a\nb"', '""', "x\x00y", "\ufeff", "99999999999999999999", "0x1f", "1_0", "y", "\r"]
)
NAMES = st.sampled_from(["y", "a", "b", "id", "", " y", "1", "2.5", "é", "y", "date", '"q"'])
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\n", "\r"])
DELIMITERS = st.sampled_from([",", ";", "\t", "|", ","])


GOOD = [["1", "2.5", "NA", "-7"], ["u", "v", ""], ["true", "False"], ["1", "2", "3"], ["0", "1"]]


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Bytes that are a good table as often as not; some have a few odd cells, lines or bytes."""
    width, delimiter, end = draw(st.integers(1, 4)), draw(DELIMITERS), draw(LINE_ENDS)
    odd_names = st.lists(NAMES, min_size=width, max_size=width)
    names = draw(st.one_of(odd_names, *[st.permutations(["y", "a", "b", "id"][:width])] * 5))
    columns = [st.sampled_from(draw(st.sampled_from(GOOD))) for _ in names]
    rows = draw(st.lists(st.tuples(*columns).map(list), max_size=10)) * draw(st.integers(1, 4))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3])) if rows else 0):
        row = draw(st.integers(0, len(rows) - 1))
        odd_row = st.one_of(st.lists(CELLS, min_size=width, max_size=width), st.lists(CELLS, max_size=5))
        rows[row] = draw(odd_row)
    text = end.join(delimiter.join(row) for row in [names, *rows]) + draw(st.sampled_from(["", end]))
    encoding = draw(st.sampled_from([*["utf-8"] * 7, "utf-8-sig", "latin-1", "utf-16"]))
    whole = text.encode(encoding, errors="replace")
    cut = draw(st.integers(0, len(whole)))
    return whole[:cut] + draw(st.sampled_from([*[b""] * 9, b"\xff", b'"', b"\x00"])) + whole[cut:]


ANY_BYTES = st.one_of(tables(), tables(), tables(), tables(), st.binary(max_size=200))
SOME_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "on_error": st.sampled_from(["stop", "skip"]),
        "drop": st.sampled_from(["auto", ["a"]]),
        "types": st.sampled_from([{"a": "category"}, {"a": "number"}, {"b": "drop"}]),
        "task": st.sampled_from(["auto", "classes", "regression"]),
        "group": st.just("b"),
        "time": st.just("a"),
        "encoding": st.sampled_from(["utf-8", "latin-1", "utf-16"]),
        "delimiter": st.sampled_from([",", ";", "tab"]),
    },
)
SETTINGS = st.one_of(st.just({}), st.just({}), st.just({"on_error": "skip"}), SOME_SETTINGS)


@pytest.mark.parametrize("name", ["t.csv"])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(content=ANY_BYTES, chosen=SETTINGS)
def test_an_error_or_good_rows(
    read_table: ReadTable, tmp_path: Path, name: str, content: bytes, chosen: dict[str, object]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    try:
        rows = read_table(path, **chosen)
    except InputError as error:
        lines = str(error).splitlines()
        assert lines
        assert all(len(line) < 1000 for line in lines)
        return
    assert len(rows.x) == len(rows.y) > 1
    assert rows.digests is not None
    assert len(rows.digests) == len(rows.x)
    assert rows.columns == tuple(column_from_dict(column.as_dict()) for column in rows.columns)
    if not chosen.keys() & {"on_error", "types"}:
        view = {"form": "table", "dtype": str(rows.x.dtype), "columns": [column.as_dict() for column in rows.columns]}
        known = {key: chosen[key] for key in ("encoding", "delimiter") if key in chosen}
        blocks = [block.x for block in read_like({"kind": "table", "view": view}, path, settings=known)]
        assert sum(map(len, blocks)) == len(rows.x)
