"""Parquet files, block by block, by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError

WHERE = "data.path"
SUFFIXES = (".parquet", ".pq")
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class ParquetFile:
    """One Parquet file.

    Attributes:
        path: Where it lies.
        skipped: Stays empty: a Parquet file has no malformed rows.
    """

    path: Path
    skipped: list[str] = field(default_factory=list)

    def column_names(self) -> list[str]:
        """Those of its schema.

        Raises:
            InputError: It is no Parquet file, or a damaged one.
        """
        return next(self.batches({}))[0]

    def batches(self, types: Mapping[str, str]) -> Iterator[tuple[list[str], list[Any]]]:
        """The names of the columns and the arrays of some rows, again and again; at least once, with no rows.

        Args:
            types: Ignored where a cast is impossible: a Parquet file knows its types.

        Raises:
            InputError: It is no Parquet file, or a damaged one.
        """
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.path, pre_buffer=False) as file:
                names = [name.strip() for name in file.schema_arrow.names]
                twice = sorted({name for name in names if names.count(name) > 1})
                if twice:
                    raise InputError(WHERE, f"{self.path} has columns more than once: {', '.join(twice)}")
                yield names, [pa.array([], column.type) for column in file.schema_arrow]
                for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
                    yield names, [_cast(column, types.get(n)) for n, column in zip(names, batch.columns, strict=True)]
        except (pa.ArrowException, OSError) as error:
            what = " ".join(str(error).split())[:200]
            raise InputError(WHERE, f"{self.path} is no Parquet file, or a damaged one ({what})") from None

    def place_of(self, row: int) -> str:
        """How a row is called, counted from 0."""
        return f"row {row}"


def _cast(column: Any, type_name: str | None) -> Any:
    import pyarrow as pa

    if type_name != "string" or pa.types.is_string(column.type) or pa.types.is_nested(column.type):
        return column
    return column.cast(pa.string())
