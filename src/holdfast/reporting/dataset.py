"""The train and val rows of a data set, and what a column, a class or a number among them is like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.figures import digits
from holdfast.core.tasks import task_of
from holdfast.data.columns import MISSING, Column
from holdfast.data.loading.train_val import RunRows
from holdfast.data.statistics import class_counts
from holdfast.data.store.store import Prepared

SAMPLE_ROWS = 20_000
SAMPLE_BYTES = 64 * 2**20
MAX_NUMBERS = 4_000_000
BINS = 24
TOP = 6
NUM_EXAMPLES = 6

Rows = NDArray[np.int64]
Facts = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Sample:
    """Indices of rows that are looked at, with their features (n, ...) as stored."""

    train: Rows
    val: Rows
    x_train: NDArray[Any]
    x_val: NDArray[Any]


def take_sample(rows: RunRows) -> Sample:
    """The train and val rows that are looked at."""
    x = rows.prepared.x
    train, val = sampled(x, rows.train), sampled(x, rows.val)
    return Sample(train, val, np.asarray(x[train]), np.asarray(x[val]))


def sampled(x: Any, rows: Rows) -> Rows:
    """Choose at most 20,000 rows, or 64 MiB of them, evenly over all."""
    return spread_over(rows, max(64, min(SAMPLE_ROWS, SAMPLE_BYTES // max(1, x[:1].nbytes))))


def spread_over(rows: Rows, limit: int) -> Rows:
    """Choose at most `limit` rows, evenly over all."""
    return rows[np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(np.int64)]


def class_facts(rows: RunRows) -> list[Facts] | None:
    """Train and val rows of each class, or with each label."""
    prepared = rows.prepared
    if task_of(prepared.task).is_values:
        return None
    names = prepared.class_names
    counts = [class_counts(np.asarray(prepared.y[part]), len(names)) for part in (rows.train, rows.val)]
    return [{"name": name, "train": train, "val": val} for name, train, val in zip(names, *counts, strict=True)]


def column_facts(column: Column, train: NDArray[Any], val: NDArray[Any]) -> Facts:
    """One column of a table; everything but `missing_val` and `new_in_val` is from train rows."""
    facts: Facts = {"name": column.name, "type": column.type, "rows_train": len(train), "rows_val": len(val)}
    if column.type == "number":
        missing = {"missing_train": int(np.isnan(train).sum()), "missing_val": int(np.isnan(val).sum())}
        return {**facts, **missing, **number_facts(train)}
    codes, counts = np.unique(train, return_counts=True)
    texts = dict(enumerate(column.categories))
    order = np.argsort(-counts, kind="stable")
    top = [[texts.get(int(codes[place]), "?"), int(counts[place])] for place in order[:TOP]]
    blank = column.categories.index(MISSING) if MISSING in column.categories else None
    return {
        **facts,
        "missing_train": 0 if blank is None else int((train == blank).sum()),
        "missing_val": 0 if blank is None else int((val == blank).sum()),
        "distinct": len(codes),
        "top": [["missing" if text == MISSING else text, count] for text, count in top],
        "new_in_val": int((~np.isin(val, codes)).sum()),
    }


def number_facts(values: NDArray[Any]) -> Facts:
    """Numbers that are not missing: how many differ, mean, spread, range, and a histogram of the middle 99 %."""
    numbers = np.asarray(values, np.float64).ravel()
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return {"distinct": 0, "histogram": None}
    low, median, high = np.quantile(numbers, [0.005, 0.5, 0.995])
    counts, edges = (
        np.histogram(np.clip(numbers, low, high), BINS) if high > low else (np.array([len(numbers)]), [low, low])
    )
    return {
        "distinct": len(np.unique(numbers)),
        **{"mean": float(numbers.mean()), "std": float(numbers.std()), "median": float(median)},
        **{"min": float(numbers.min()), "max": float(numbers.max())},
        "histogram": {"low": float(edges[0]), "high": float(edges[-1]), "counts": counts.tolist()},
    }


def example_rows(rows: RunRows, target: str | None) -> Facts:
    """A few train rows of a table, as texts."""
    prepared, columns = rows.prepared, rows.prepared.columns
    shown = spread_over(rows.train, NUM_EXAMPLES)
    table = []
    for x, y in zip(np.asarray(prepared.x[shown]), np.asarray(prepared.y[shown]), strict=True):
        cells = [cell_text(column, value) for column, value in zip(columns, x.tolist(), strict=True)]
        table.append([*cells, target_text(prepared, y)])
    return {"header": [*(column.name for column in columns), target or "target"], "rows": table}


def cell_text(column: Column, value: float) -> str:
    """A stored cell as a person reads it."""
    if column.type == "number":
        return "missing" if value != value else digits(value, 6)  # noqa: PLR0124 - NaN
    if not 0 <= value < len(column.categories):
        return "?"
    return column.categories[int(value)] or "missing"


def target_text(prepared: Prepared, y: Any) -> str:
    """A target as a person reads it."""
    if task_of(prepared.task).is_values:
        return ", ".join(digits(value, 6) for value in np.ravel(y).tolist())
    if task_of(prepared.task).is_labels:
        return ", ".join(name for name, is_set in zip(prepared.class_names, y, strict=True) if is_set) or "none"
    return prepared.class_names[int(y)]


def missing_share(column: Mapping[str, Any]) -> float:
    """Share of train rows that lack a value."""
    return float(column["missing_train"] / max(1, column["rows_train"]))


def in_quotes(items: Sequence[str], limit: int = 5) -> str:
    """Names in a sentence, the first few."""
    text = ", ".join(f"'{item}'" for item in items[:limit])
    return text + (f" and {len(items) - limit} more" if len(items) > limit else "")
