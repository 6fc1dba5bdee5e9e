"""Parquet: types as the file says, several files as one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as writer

from holdfast.core.errors import InputError
from holdfast.data.rows import Rows

ReadTable = Callable[..., Rows]
N = 20
COLUMNS = {
    "small": pa.array(range(N), pa.int8()),
    "money": pa.array(np.arange(N) / 4).cast(pa.decimal128(9, 2)),
    "flag": pa.array([True, None] * 10),
    "word": pa.array(["u", "v"] * 10).dictionary_encode(),
    "hole": pa.array([1.5, None] * 10),
    "y": pa.array(["no", "yes"] * 10),
}


def test_types(read_table: ReadTable, tmp_path: Path) -> None:
    writer.write_table(pa.table(COLUMNS), tmp_path / "t.parquet")
    rows = read_table(tmp_path / "t.parquet", format="parquet")
    assert [column.type for column in rows.columns] == ["number", "number", "category", "category", "number"]
    assert rows.x[3, :2].tolist() == [3, 0.75]
    assert rows.columns[2].categories == ("", "true")
    assert np.isnan(rows.x[:2, 4]).tolist() == [False, True]
    rows = read_table(tmp_path / "t.parquet", format="parquet", types={"small": "category"})
    assert rows.columns[0].categories[:2] == ("0", "1")


def test_a_folder_is_one_table(read_table: ReadTable, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    table = pa.table(COLUMNS)
    writer.write_table(table[:12], tmp_path / "set" / "1.parquet")
    writer.write_table(table[12:].select([*reversed(table.column_names)]), tmp_path / "set" / "2.parquet")
    (tmp_path / "set" / "_SUCCESS").touch()
    rows = read_table(tmp_path / "set", format="parquet")
    assert rows.x[:, 0].tolist() == list(range(N))
    writer.write_table(table.drop_columns(["hole"]), tmp_path / "set" / "3.parquet")
    with pytest.raises(InputError, match=r"3\.parquet has no hole, unlike the files before it"):
        read_table(tmp_path / "set", format="parquet")


def test_what_cannot_be_used(read_table: ReadTable, tmp_path: Path) -> None:
    for extra, words in (
        ({"list": pa.array([[1]] * N)}, "column 'list' holds list<"),
        ({"small": pa.array([np.inf] * N)}, "row 0, column 'small': has an infinite value"),
    ):
        writer.write_table(pa.table({**COLUMNS, **extra}), tmp_path / "t.parquet")
        with pytest.raises(InputError) as caught:
            read_table(tmp_path / "t.parquet", format="parquet")
        assert words in str(caught.value)
    (tmp_path / "bad.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-20])
    with pytest.raises(InputError, match="is no Parquet file, or a damaged one"):
        read_table(tmp_path / "bad.parquet", format="parquet")
