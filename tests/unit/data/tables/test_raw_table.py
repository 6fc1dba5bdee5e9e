"""A table in its spool: rows in order, gathered in any, and where they came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from holdfast.data.formats.csv import CsvFile
from holdfast.data.formats.typed import feather_file
from holdfast.data.rows import read_piece
from holdfast.data.tables import raw_table
from holdfast.data.tables.raw_table import RawTable


@pytest.fixture
def table(home: Path, tmp_path: Path) -> RawTable:
    """Seven rows of two files; the second has its columns in another order, and another type for one."""
    (tmp_path / "t.csv").write_text("a,b\n0,x\n1,\n\n2,z\n3,w\n")
    table = RawTable([CsvFile(tmp_path / "t.csv"), feather_file(tmp_path / "t.feather")])
    table.append(["a", "b"], [pa.array([], pa.int64()), pa.array([], pa.string())], file=0, row=0)
    table.append(["a", "b"], [pa.array([0, 1]), pa.array(["x", None])], file=0, row=0)
    table.append(["a", "b"], [pa.array([2, 3]), pa.array(["z", "w"])], file=0, row=2)
    words = pa.array(["p", "q", "p"]).dictionary_encode()
    table.append(["b", "a", "deep"], [words, pa.array([4.5, 5, 6]), pa.array([[1]] * 3)], file=1, row=0)
    return table


def cells(table: RawTable, name: str) -> list[object]:
    return [value for _, batch in table.blocks([name]) for value in batch.column(0).to_pylist()]


def test_rows_in_order(table: RawTable) -> None:
    assert (len(table), table.names, list(table.nested)) == (7, ["a", "b"], ["deep"])
    assert [(start, batch.num_rows) for start, batch in table.blocks()] == [(0, 2), (2, 2), (4, 3)]
    assert cells(table, "a") == [0, 1, 2, 3, 4.5, 5, 6]
    assert cells(table, "b") == ["x", None, "z", "w", "p", "q", "p"]
    assert table.layout == {"form": "table", "rows": 7, "columns": {"a": "double", "b": "string"}}
    assert [batch.schema.names for _, batch in table.blocks(["b", "nowhere"])] == [["b"]] * 3


def test_rows_that_are_left_out_are_nowhere(table: RawTable) -> None:
    everything = table.sha256
    table.keep(np.array([0, 1, 0, 0, 1, 0, 1], bool))
    assert table.sha256 != everything
    assert (len(table), cells(table, "a")) == (3, [1, 4.5, 6])
    assert [start for start, _ in table.blocks()] == [0, 1]
    ((rows, piece),) = table.pieces(np.array([2, 0, 1]))
    assert rows.tolist() == [2, 0, 1]
    assert read_piece(table.layout, piece).column("a").to_pylist() == [6, 1, 4.5]


def test_a_row_is_told_by_file_and_line(table: RawTable, tmp_path: Path) -> None:
    assert table.place_of(0) == f"{tmp_path / 't.csv'}, line 2"
    assert table.place_of(2) == f"{tmp_path / 't.csv'}, line 5", "after an empty line"
    assert table.place_of(5) == f"{tmp_path / 't.feather'}, row 1"
    table.keep(np.array([0, 0, 1, 0, 0, 0, 1], bool))
    assert [table.place_of(row) for row in (0, 1)] == [
        f"{tmp_path / 't.csv'}, line 5",
        f"{tmp_path / 't.feather'}, row 2",
    ]


def test_pieces_are_small_and_in_the_order_that_is_asked_for(table: RawTable, monkeypatch: pytest.MonkeyPatch) -> None:
    row_bytes = table.nbytes // 7
    monkeypatch.setattr(raw_table, "PIECE_BYTES", 2 * row_bytes)
    monkeypatch.setattr(raw_table, "GATHER_BYTES", 4 * row_bytes)
    order = np.array([6, 0, 3, 4, 1, 5])
    pieces = list(table.pieces(order))
    assert [rows.tolist() for rows, _ in pieces] == [[6, 0], [3, 4], [1, 5]]
    batches = [read_piece(table.layout, content) for _, content in pieces]
    assert [value for batch in batches for value in batch.column("a").to_pylist()] == [6, 0, 3, 4.5, 1, 5]
    assert [value for batch in batches for value in batch.column("b").to_pylist()] == ["p", "x", "w", "p", None, "q"]
    assert {str(batch.schema.field("a").type) for batch in batches} == {"double"}, "one type in all pieces"


@pytest.mark.parametrize(
    ("first", "second", "type", "values"),
    [
        (pa.array([None, None]), pa.array([1, 2]), "int64", [None, None, 1, 2]),
        (pa.array([1, 2]), pa.array(["x", "2"]), "string", ["1", "2", "x", "2"]),
        (pa.array([True, None]), pa.array([0.5, 1]), "string", ["true", None, "0.5", "1"]),
        (pa.array([1, 2], pa.int8()), pa.array([2**60 + 1, 1]), "int64", [1, 2, 2**60 + 1, 1]),
        (pa.array([1, 2], pa.int8()), pa.array([0.5, 1]), "double", [1, 2, 0.5, 1]),
        (pa.array([0, 1], pa.date32()), pa.array([0, 1], pa.timestamp("s")), "timestamp[us]", None),
    ],
)
def test_a_column_of_two_types_is_sealed_as_one(
    home: Path, first: pa.Array, second: pa.Array, type: str, values: list[object] | None
) -> None:
    table = RawTable([])
    for array in (first, second):
        table.append(["a"], [array], file=0, row=0)
    assert table.layout["columns"] == {"a": type}
    ((_, piece),) = table.pieces(np.arange(4))
    column = read_piece(table.layout, piece).column("a")
    assert str(column.type) == type
    assert values is None or column.to_pylist() == values
    assert column.null_count == first.null_count + second.null_count


def test_whole_numbers_keep_their_digits(home: Path) -> None:
    """float64 holds no more than 53 bits."""
    table = RawTable([])
    table.append(["a"], [pa.array([2**60 + 1, 3])], file=0, row=0)
    ((_, piece),) = table.pieces(np.arange(2))
    assert read_piece(table.layout, piece).column("a").to_pylist() == [2**60 + 1, 3]


def test_all_blocks_and_sealed_rows_have_one_type(home: Path) -> None:
    """Strings of pandas, and a column that is text in one file and a time in another."""
    table = RawTable([])
    table.append(
        ["zip", "day"], [pa.array(["01234", "5"], pa.large_string()), pa.array(["2024-01-01", "x"])], file=0, row=0
    )
    times = pa.array([0, 86_400_000_000], pa.timestamp("us"))
    table.append(["zip", "day"], [pa.array(["7", "8"], pa.string_view()), times], file=1, row=0)
    types = [(batch.schema.field("zip").type, batch.schema.field("day").type) for _, batch in table.blocks()]
    assert types == [(pa.string(), pa.string())] * 2
    ((rows, content),) = table.pieces(np.array([3, 0]))
    with pa.ipc.open_stream(content) as reader:
        sealed = reader.read_all()
    assert rows.tolist() == [3, 0]
    assert sealed.column("zip").to_pylist() == ["8", "01234"]
    first, second = (batch.column("day") for _, batch in table.blocks())
    assert sealed.column("day").to_pylist() == [second[1].as_py(), first[0].as_py()]
