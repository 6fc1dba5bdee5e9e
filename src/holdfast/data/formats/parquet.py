"""Parquet files, block by block, by pyarrow; columns have the types that the files say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from holdfast.data.formats.types import TypedFile

SUFFIXES = (".parquet", ".pq")
BATCH_ROWS = 65_536


def open_table(path: Path, *, skips: bool = False) -> TypedFile:
    """A Parquet file, which has no malformed rows to skip."""
    return TypedFile(path, "Parquet", partial(_opened, path))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
    from pyarrow import parquet

    with parquet.ParquetFile(path, pre_buffer=False) as file:
        yield file.schema_arrow, file.iter_batches(BATCH_ROWS, use_threads=False)
