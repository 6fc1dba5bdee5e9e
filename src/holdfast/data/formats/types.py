"""Tables that know their types, in files or in memory: they are read as record batches of Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.formats.files import WHERE, unique_names


@dataclass(frozen=True)
class TypedFile:
    """A table whose columns have types, so that it has no malformed rows to skip.

    Attributes:
        path: Where it lies, or what it is called.
        format: How its format is called in errors.
        opened: Gives the schema and the record batches, as a context manager.
        skipped: Stays empty.
    """

    path: Any
    format: str
    opened: Callable[[], AbstractContextManager[tuple[Any, Iterator[Any]]]]
    skipped: list[str] = field(default_factory=list)

    def column_names(self) -> list[str]:
        """The names in its schema.

        Raises:
            InputError: It is of another format, or damaged.
        """
        return next(self.batches())[0]

    def batches(self) -> Iterator[tuple[list[str], list[Any]]]:
        """The names of the columns and the arrays of some rows, again and again; at least once, with no rows.

        Raises:
            InputError: It is of another format, or damaged.
        """
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

    def place_of(self, row: int) -> str:
        """The name of a row, counted from 0."""
        return f"row {row}"
