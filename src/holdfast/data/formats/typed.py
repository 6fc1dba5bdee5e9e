"""Tables that know their types, in files or in memory: they are read as record batches of Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.formats.files import WHERE, unique_names

BATCH_ROWS = 65_536
Opened = AbstractContextManager[tuple[Any, Iterator[Any]]]


@dataclass(frozen=True)
class TypedFile:
    """A table whose columns have types, so that it has no malformed rows to skip."""

    path: Any
    format: str
    opened: Callable[[], Opened]  # gives the schema and the record batches, as a context manager
    skipped: list[str] = field(default_factory=list)  # stays empty

    def column_names(self) -> list[str]:
        """The names in its schema; an InputError where the file is of another format, or damaged."""
        return next(self.batches())[0]

    def batches(self) -> Iterator[tuple[list[str], list[Any]]]:
        """The names of the columns and the arrays of some rows, again and again; at least once, with no rows."""
        import pyarrow as pa

        try:
            with self.opened() as (schema, batches):
                names = unique_names(str(self.path), schema.names)
                yield names, [pa.array([], column.type) for column in schema]
                for batch in batches:
                    yield names, batch.columns
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(WHERE, f"{self.path} is no {self.format} file, or a damaged one ({reason})") from None

    def reading(self) -> dict[str, str]:
        """Nothing has to be known beforehand."""
        return {}

    def place_of(self, row: int) -> str:
        """The name of a row, counted from 0."""
        return f"row {row}"


def feather_file(path: Path, *, skips: bool = False) -> TypedFile:
    """A file in Arrow's IPC file format, which is Feather 2."""

    @contextmanager
    def opened() -> Iterator[tuple[Any, Iterator[Any]]]:
        import pyarrow as pa

        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
            yield file.schema, (file.get_batch(number) for number in range(file.num_record_batches))

    return TypedFile(path, "Feather", opened)


def parquet_file(path: Path, *, skips: bool = False) -> TypedFile:
    """A Parquet file."""

    @contextmanager
    def opened() -> Iterator[tuple[Any, Iterator[Any]]]:
        from pyarrow import parquet

        with parquet.ParquetFile(path, pre_buffer=False) as file:
            yield file.schema_arrow, file.iter_batches(BATCH_ROWS, use_threads=False)

    return TypedFile(path, "Parquet", opened)
