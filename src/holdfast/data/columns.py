"""Columns of a table: numbers with their ranges, or categories with the texts that their codes stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ColumnType = Literal["number", "category"]
MISSING = ""
UNSEEN = -1
# float32 is enough where its rounding is so small a part of the range of a column.
ROUNDING_SHARE = 2e-4
EPSILON = float(np.finfo(np.float32).eps) / 2
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Column:
    """One column of a stored table, and what train rows say of it once that is known."""

    name: str  # as the source has it
    type: ColumnType  # a "number" is stored as it is, missing as NaN; a "category" is stored as its code
    # sorted texts of a category column; a code is an index into them, "" is the category of missing cells, and the code
    # -1 a text that is not among them
    categories: tuple[str, ...] = ()
    has_missing: bool | None = None  # whether some train row lacks the number; None: a category, or not known yet
    unseen: tuple[str, ...] | None = None  # categories that no train row has; None: a number, or not known yet
    # the column of the table that it is taken from, where it is more than a plain reading of its own cells
    source: str = ""
    # what it takes of these cells: one of `data.tables.dates.PARTS`, or "amount", a number without its unit
    part: str = ""
    order: str = ""  # of day and month in texts that are dates; empty where the year comes first

    @property
    def origin(self) -> str:
        """The column of the table that it is taken from."""
        return self.source or self.name

    def as_dict(self) -> dict[str, Any]:
        """The column as JSON; what is None or empty is left out, but for the categories of a column that has them."""
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}
        if self.type == "number":
            del plain["categories"]
        return {key: value for key, value in plain.items() if value not in (None, "")}

    @property
    def is_seen(self) -> NDArray[np.bool_]:
        """(categories,) Mask of those that train rows have."""
        unseen = set(self.unseen or ())
        return np.array([text not in unseen for text in self.categories], bool)


def number_columns(names: Iterable[str]) -> tuple[Column, ...]:
    """Columns of numbers with these names."""
    return tuple(Column(str(name), "number") for name in names)


def unnamed(width: int) -> list[str]:
    """Names for the columns of a table that have none of their own."""
    return [f"x{index}" for index in range(width)]


def column_from_dict(plain: Mapping[str, Any]) -> Column:
    """The inverse of `Column.as_dict`; a ValueError where the mapping describes no column."""
    name, kind, categories = plain.get("name"), plain.get("type"), plain.get("categories", [])
    has_missing, unseen = plain.get("has_missing"), plain.get("unseen")
    if not isinstance(name, str) or kind not in ("number", "category"):
        raise ValueError(f"{plain!r} describes no column")
    if not isinstance(categories, list) or not all(isinstance(text, str) for text in categories):
        raise ValueError(f"column {name!r} has categories that are no texts")
    taken = {key: str(plain.get(key, "")) for key in ("source", "part", "order")}
    return Column(name, kind, tuple(categories), has_missing, None if unseen is None else tuple(unseen), **taken)


class Ranges:
    """The ranges of columns of numbers, taken in block by block: they say whether values vary, and fit float32."""

    def __init__(self, width: int) -> None:
        self._least = np.full(width, np.inf)
        self._most = np.full(width, -np.inf)
        self._has_missing = np.zeros(width, bool)
        self._whole = np.ones(width, bool)

    def add(self, block: NDArray[np.float64]) -> None:
        """Take in (n, columns) numbers; NaN where missing."""
        self._least = np.fmin(self._least, np.fmin.reduce(block, axis=0))  # the least of what is no NaN
        self._most = np.fmax(self._most, np.fmax.reduce(block, axis=0))
        self._has_missing |= np.isnan(block).any(axis=0)
        self._whole &= (np.rint(block) == block).all(axis=0)

    def is_constant(self, column: int) -> bool:
        """Tell whether a column says nothing: one value in every row, or none in any."""
        is_empty = self._least[column] > self._most[column]
        return bool(is_empty or (self._least[column] == self._most[column] and not self._has_missing[column]))

    def is_single(self, column: int) -> bool:
        """Tell whether the cells of a column that are not missing are all one value."""
        return bool(self._least[column] >= self._most[column])

    def is_whole(self, column: int) -> bool:
        """Tell whether a column holds whole numbers only, none missing."""
        return bool(self._whole[column])

    def needs_double(self, columns: Sequence[int]) -> bool:
        """Tell whether float32 would lose what distinguishes the values of one of the columns."""
        least, most = self._least[list(columns)], self._most[list(columns)]
        largest = np.maximum(np.abs(least), np.abs(most))
        with np.errstate(over="ignore", invalid="ignore"):
            loses = (most > least) & (largest * EPSILON > ROUNDING_SHARE * (most - least))
        return bool((loses | (np.isfinite(largest) & (largest > LARGEST))).any())
