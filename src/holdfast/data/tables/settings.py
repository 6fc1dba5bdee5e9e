"""What is said of a table before it is read: by the user, and by a reading that has to begin again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from holdfast.data.formats.types import Conflict
from holdfast.data.rows import TEST, TRAIN, VAL

PART_WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}


def is_part(text: str) -> bool:
    """Whether a text is a word for a part."""
    return text.lower() in PART_WORDS


class TableFile(Protocol):
    """A file that can be read block by block, as often as it takes."""

    @property
    def path(self) -> Any:
        """What the file is called."""

    @property
    def skipped(self) -> list[str]:
        """The reason for every row that was left out while the file was read."""

    def column_names(self) -> list[str] | None:
        """The names of the columns; None where they do not stand at the file's beginning."""

    def batches(self, types: Mapping[str, str]) -> Iterator[tuple[list[str], list[Any]]]:
        """Names and arrays of pyarrow's, some rows at a time."""

    def place_of(self, row: int) -> str:
        """What a row is called: line 17."""


@dataclass(frozen=True)
class TableSettings:
    """What a user says of a table; every name is that of a setting `data.<name>`.

    Attributes:
        target: One column, or the labels of a multilabel task.
        task: Whether the target holds classes or values; auto: it is looked at.
        types: By column: number, category or drop.
        drop: Columns that are left out.
        drops_auto: Whether columns that look like identifiers or are constant are left out, too.
        group: The column whose equal values stay on one side of a split.
        time: The column that tells when a row was taken.
        split_column: The column that says train, val or test.
        missing: Texts that mean a missing cell.
        skips: Whether rows that cannot be used are left out instead of being an error.
    """

    target: tuple[str, ...]
    task: Literal["auto", "classes", "regression"] = "auto"
    types: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    drops_auto: bool = False
    group: str | None = None
    time: str | None = None
    split_column: str | None = None
    missing: tuple[str, ...] = ()
    skips: bool = False


@dataclass(frozen=True)
class Plan:
    """What is known of the columns before a reading.

    Attributes:
        read_as: Types of pyarrow's that columns are read as.
        numbers: Columns of texts that are numbers.
        words: Columns of texts whose first rows say train, val or test, and others do not.
        dtype: Of the rows.
    """

    read_as: Mapping[str, str]
    numbers: frozenset[str]
    words: frozenset[str] = frozenset()
    dtype: Literal["float32", "float64"] = "float32"

    def after(self, conflict: Conflict) -> Plan:
        """The plan with what a reading found out."""
        if conflict.type == "float64" and not conflict.column:
            return replace(self, dtype="float64")
        if conflict.type == "number":
            return replace(self, numbers=self.numbers | {conflict.column})
        if conflict.type == "word":
            return replace(self, words=self.words | {conflict.column})
        return replace(self, read_as={**self.read_as, conflict.column: conflict.type})
