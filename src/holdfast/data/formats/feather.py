"""Feather and Arrow IPC files, block by block, by pyarrow; columns have the types that the files say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.formats.types import clean_names

WHERE = "data.path"
SUFFIXES = (".feather", ".arrow", ".ipc")


def open_table(path: Path, *, skips: bool = False) -> FeatherFile:
    """A Feather file, which has no malformed rows to skip."""
    return FeatherFile(path)


@dataclass(frozen=True)
class FeatherFile:
    """One file in Arrow's IPC file format, which is Feather 2.

    Attributes:
        path: Where it lies.
        skipped: Stays empty.
    """

    path: Path
    skipped: list[str] = field(default_factory=list)

    def column_names(self) -> list[str]:
        """Those of its schema.

        Raises:
            InputError: It is no Feather file, or a damaged one.
        """
        return next(self.batches())[0]

    def batches(self) -> Iterator[tuple[list[str], list[Any]]]:
        """The names of the columns and the arrays of some rows, again and again; at least once, with no rows.

        Raises:
            InputError: It is no Feather file, or a damaged one.
        """
        import pyarrow as pa

        try:
            with pa.memory_map(str(self.path)) as source, pa.ipc.open_file(source) as file:
                names = clean_names(self.path, file.schema.names)
                yield names, [pa.array([], column.type) for column in file.schema]
                for number in range(file.num_record_batches):
                    yield names, file.get_batch(number).columns
        except (pa.ArrowException, OSError) as error:
            what = " ".join(str(error).split())[:200]
            raise InputError(WHERE, f"{self.path} is no Feather file, or a damaged one ({what})") from None

    def place_of(self, row: int) -> str:
        """How a row is called, counted from 0."""
        return f"row {row}"
