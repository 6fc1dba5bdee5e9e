"""Feather files: types as the file says, block by block."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from holdfast.core.errors import InputError
from holdfast.data.formats import FORMATS, TABLE_SUFFIXES, format_of
from holdfast.data.formats.typed import feather_file as open_table

TABLE = pa.table({"a ": pa.array(range(10), pa.int8()), "word": pa.array(["u", None] * 5).dictionary_encode()})


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_blocks_as_they_were_written(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "t.feather"
    feather.write_feather(TABLE, path, compression=compression, chunksize=4)
    file = open_table(path)
    assert file.column_names() == ["a", "word"]
    blocks = list(file.batches())
    assert [len(arrays[0]) for _, arrays in blocks] == [0, 4, 4, 2]
    assert {tuple(names) for names, _ in blocks} == {("a", "word")}
    assert [value for _, arrays in blocks for value in arrays[0].to_pylist()] == list(range(10))
    assert blocks[1][1][1].to_pylist() == ["u", None, "u", None]
    assert file.place_of(7) == "row 7"


def test_a_file_of_no_rows_has_its_names(tmp_path: Path) -> None:
    feather.write_feather(TABLE[:0], tmp_path / "t.feather")
    assert all(len(arrays[0]) == 0 for _, arrays in open_table(tmp_path / "t.feather").batches())
    assert open_table(tmp_path / "t.feather").column_names() == ["a", "word"]


def test_what_is_no_feather_file(tmp_path: Path) -> None:
    path = tmp_path / "t.feather"
    feather.write_feather(TABLE, path)
    whole = path.read_bytes()
    parquet.write_table(TABLE, tmp_path / "t.parquet")
    for content in (whole[:-9], whole[: len(whole) // 2], b"a,b\n1,2\n", b"", (tmp_path / "t.parquet").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"t\.feather is no Feather file, or a damaged one") as caught:
            list(open_table(path).batches())
        assert len(str(caught.value).splitlines()) == 1
    feather.write_feather(pa.table({"a": [1], "a ": [2]}), path)
    with pytest.raises(InputError, match="several columns have the name 'a'"):
        open_table(path).column_names()


def test_its_suffixes_are_known() -> None:
    assert {".feather", ".arrow", ".ipc"} <= set(TABLE_SUFFIXES)
    for name in ("t.feather", "T.ARROW", "t.ipc"):
        assert format_of(Path(name)) is FORMATS["feather"]
