"""The inputs of a model from a table: its numbers, a 0/1 for each that may be missing, and its categories as indices.

A model's vocabulary of a category column are the categories that train rows have, numbered from 1 in the order of
their codes; 0 stands for every other text. Names, types and vocabularies stand in each checkpoint and in `run.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from holdfast.data.columns import Column
from holdfast.data.statistics import TrainStatistics


def input_columns(columns: Sequence[Column], statistics: TrainStatistics) -> tuple[Column, ...]:
    """The columns of a table, as stored, with what the train rows say of them."""
    assert statistics.has_missing is not None
    inputs = []
    for index, (column, has_missing) in enumerate(zip(columns, statistics.has_missing.tolist(), strict=True)):
        if column.type == "number":
            inputs.append(replace(column, has_missing=has_missing))
        else:
            counts = zip(column.categories, statistics.category_counts[index], strict=True)
            inputs.append(replace(column, unseen=tuple(text for text, count in counts if not count)))
    return tuple(inputs)


def input_width(columns: Sequence[Column]) -> int:
    """The number of values that a model is given for one row."""
    return len(columns) + sum(bool(column.has_missing) for column in columns)


def input_names(columns: Sequence[Column]) -> list[str]:
    """Names of the values that a model is given for one row, in their order."""
    numbers = [column for column in columns if column.type == "number"]
    indicators = [f"{column.name} is missing" for column in numbers if column.has_missing]
    indices = [f"{column.name} (index)" for column in columns if column.type == "category"]
    return [*(column.name for column in numbers), *indicators, *indices]


def category_sizes(columns: Sequence[Column]) -> tuple[int, ...]:
    """The size of each category column's vocabulary, and one more for the unknown."""
    return tuple(int(column.is_seen.sum()) + 1 for column in columns if column.type == "category")


def neutral_table_statistics(columns: Sequence[Column], dtype: str) -> TrainStatistics:
    """Statistics with mean 0, std 1 and these vocabularies, to build a module whose weights are then loaded."""
    zeros, ones = np.zeros(len(columns)), np.ones(len(columns))
    seen = {i: c.is_seen.astype(np.int64) for i, c in enumerate(columns) if c.type == "category"}
    has_missing = np.array([bool(column.has_missing) for column in columns])
    return TrainStatistics("table", 0, zeros, ones, 0.0, 1.0, None, zeros, has_missing, seen, dtype)
