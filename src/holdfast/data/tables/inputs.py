"""What a model sees of a table: its numbers, a 0/1 for each that may be missing, and its categories as indices.

A model's vocabulary of a category column are the categories that train rows have, numbered from 1 in the order of
their codes; 0 stands for every other text. Names, types and vocabularies stand in each checkpoint and in `run.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.columns import Column, column_from_dict
from holdfast.data.loading.statistics import TrainStatistics


@dataclass(frozen=True)
class InputColumn:
    """One column of a table and what its train rows say of it.

    Attributes:
        column: Name, type and categories.
        has_missing: Whether some train row lacks the number.
        unseen: Categories that no train row has.
    """

    column: Column
    has_missing: bool = False
    unseen: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: `Column.as_dict` and "has_missing" of a number or "unseen" of a category column."""
        is_category = self.column.type == "category"
        learned = {"unseen": list(self.unseen)} if is_category else {"has_missing": self.has_missing}
        return {**self.column.as_dict(), **learned}

    @property
    def is_seen(self) -> NDArray[np.bool_]:
        """(categories,) Which of them train rows have."""
        unseen = set(self.unseen)
        return np.array([text not in unseen for text in self.column.categories], bool)


def input_column_from_dict(plain: Mapping[str, Any]) -> InputColumn:
    """The inverse of `InputColumn.as_dict`.

    Raises:
        ValueError: The mapping describes no column.
    """
    return InputColumn(column_from_dict(plain), bool(plain.get("has_missing")), tuple(plain.get("unseen") or ()))


def input_columns(columns: Sequence[Column], statistics: TrainStatistics) -> tuple[InputColumn, ...]:
    """The columns of a table with what the train rows say of them.

    Args:
        columns: As stored.
        statistics: Of the train rows.
    """
    assert statistics.has_missing is not None
    found = []
    for index, (column, has_missing) in enumerate(zip(columns, statistics.has_missing.tolist(), strict=True)):
        counts = statistics.category_counts.get(index, ())
        unseen = tuple(text for text, count in zip(column.categories, counts, strict=True) if not count)
        found.append(InputColumn(column, has_missing, unseen))
    return tuple(found)


def input_width(columns: Sequence[InputColumn]) -> int:
    """How many numbers a model is given for one row."""
    return len(columns) + sum(column.has_missing for column in columns)


def category_sizes(columns: Sequence[InputColumn]) -> tuple[int, ...]:
    """The size of each category column's vocabulary, and one more for the unknown."""
    return tuple(int(column.is_seen.sum()) + 1 for column in columns if column.column.type == "category")


def neutral_table_statistics(columns: Sequence[InputColumn], dtype: str) -> TrainStatistics:
    """Statistics with mean 0, std 1 and these vocabularies, to build a module whose weights are then loaded."""
    zeros, ones = np.zeros(len(columns)), np.ones(len(columns))
    seen = {i: c.is_seen.astype(np.int64) for i, c in enumerate(columns) if c.column.type == "category"}
    has_missing = np.array([column.has_missing for column in columns], bool)
    return TrainStatistics("table", 0, zeros, ones, 0.0, 1.0, None, zeros, has_missing, seen, dtype)
