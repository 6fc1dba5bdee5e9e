"""JSON lines: keys that come late, kinds of values that change, and lines that are none."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data.formats import typed
from holdfast.data.rows import Rows

BODY = "".join(f'{{"a": {i}, "b": "{"uv"[i % 2]}", "y": {i % 2}}}\n' for i in range(20))


Load = Callable[..., Rows]
ReadTable = Callable[..., Rows]


@pytest.fixture
def load(read_table: ReadTable) -> Load:
    def load_it(path: Path, content: str | bytes, **settings: Any) -> Rows:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, format="jsonl", **settings)

    return load_it


def test_keys_and_numbers_that_come_late(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed, "BLOCK_BYTES", 200)
    rows = load(tmp_path / "t.jsonl", BODY + '{"a": 0.5, "b": null, "y": 1, "c": "x"}\n\n{"y": 0}\n')
    assert rows.feature_names == ("a", "b", "c")
    assert rows.x[20].tolist() == [0.5, 0, 1]
    assert np.isnan(rows.x[21, 0])
    assert [column.categories for column in rows.columns] == [(), ("", "u", "v"), ("", "x")]


def test_compressed_and_overridden(load: Load, tmp_path: Path) -> None:
    rows = load(tmp_path / "t.jsonl.gz", gzip.compress(BODY.encode()), types={"a": "category"})
    assert rows.columns[0].categories[:3] == ("0", "1", "10")
    with pytest.raises(InputError, match="line 21: is no JSON"):
        load(tmp_path / "t.jsonl.gz", gzip.compress(f"{BODY}no\n".encode()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "t.jsonl is empty"),
        (BODY + '{"a": 1\n', "line 21: is no JSON"),
        (BODY + "[1, 2]\n", "line 21: is a list, not an object"),
        (BODY + "\n" + '{"a": "x", "y": 1}\n', "line 22: 'a' is a text, and a number above"),
        (BODY + '{"a": [1], "y": 1}\n', "line 21: 'a' is a list or object, and a number above"),
        ('{"a": {"b": 1}, "y": 1}\n{"a": {"b": 1}, "y": 0}\n' * 9, "column 'a' holds struct<b: int64>"),
        (BODY + '{"a": 1, "y": null}\n', "line 21, column 'y': has no value"),
        (BODY.encode() + b'{"a": "\xff", "y": 1}\n', "line 21: is not utf-8"),
    ],
)
def test_what_cannot_be_used(load: Load, tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path / "t.jsonl", content)
    assert words in str(caught.value)


def test_lines_that_are_no_objects_are_left_out_on_request(load: Load, tmp_path: Path) -> None:
    lines = BODY.splitlines()
    lines[3:3] = ['{"a": 7, "b"', "", "[1]", "text"]
    rows = load(tmp_path / "t.jsonl", "\n".join([*lines, '{"a": 0.5, "b": "w", "y": 1}', '{"bad']), on_error="skip")
    assert rows.x[:, 0].tolist() == [*range(20), 0.5]
    assert rows.notes[0] == "4 rows left out with no JSON object"
    with pytest.raises(InputError, match=r"line 4: is no JSON .* next: write one object a line, or data.on_error=skip"):
        load(tmp_path / "t.jsonl", "\n".join(lines))
