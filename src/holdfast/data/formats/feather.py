"""Feather and Arrow IPC files, block by block, by pyarrow; columns have the types that the files say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from holdfast.data.formats.types import TypedFile

SUFFIXES = (".feather", ".arrow", ".ipc")


def open_table(path: Path, *, skips: bool = False) -> TypedFile:
    """A file in Arrow's IPC file format, which is Feather 2; it has no malformed rows to skip."""
    return TypedFile(path, "Feather", partial(_opened, path))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
        yield file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
