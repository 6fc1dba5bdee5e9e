"""Statistics of the train rows: mean, spread, counts, and what they say of columns. Val rows have no part in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.tasks import PerTarget
from holdfast.data.columns import Column
from holdfast.data.rows import Array

BLOCK_BYTES = 8 * 2**20
MEDIAN_BYTES = 128 * 2**20
# The mean of equal numbers is off by rounding: a smaller spread than this, relative to the mean, is none.
SMALLEST_SPREAD = {"float64": 1e-14}
SMALLEST_SPREAD_FLOAT32 = 1e-7


@dataclass(frozen=True, eq=False)
class TrainStatistics:
    """Statistics of the train rows."""

    kind: str  # "image", "table" or "array"
    num_rows: int  # the number of train rows
    # of every feature, shaped like one row as stored (an image: H, W, C); a table's missing numbers are left out; 0 for
    # a category column
    mean: NDArray[np.float64]
    # population standard deviation of every feature; 0 for a constant one and for a category column
    std: NDArray[np.float64]
    target_mean: PerTarget | None = None  # of the targets, one by one; None where they are no values
    target_std: PerTarget | None = None  # likewise; 1 where all train rows have the same
    class_counts: tuple[int, ...] | None = None  # rows of each class, or with each label; None for a regression
    # (d,) of the numbers of a table that are not missing; None for other kinds
    median: NDArray[np.float64] | None = None
    # (d,) which number columns of a table lack a number in some train row; None for other kinds
    has_missing: NDArray[np.bool_] | None = None
    # train rows with each code, by the index of the category column, in order
    category_counts: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)
    dtype: str = "float32"  # type of the rows as stored


def train_statistics(
    x: Array, y: Array, train: NDArray[np.int64], *, kind: str, num_classes: int, columns: Sequence[Column] = ()
) -> TrainStatistics:
    """Take the statistics of the rows `train` of a memory map `x`, in blocks; `y` are (n,) or (n, k) targets.

    `num_classes` is the number of classes or labels, and 0 where targets are values.
    """
    codes = {index: column for index, column in enumerate(columns) if column.type == "category"}
    counts, mean, squares = _moments(x, train)
    std = np.sqrt(squares / np.maximum(counts, 1))
    std[std <= SMALLEST_SPREAD.get(x.dtype.name, SMALLEST_SPREAD_FLOAT32) * np.abs(mean)] = 0.0
    rest: dict[str, Any] = {"dtype": x.dtype.name}
    if kind == "table":
        mean[list(codes)], std[list(codes)] = 0.0, 0.0
        has_missing = counts < len(train)
        has_missing[list(codes)] = False
        rest |= {"median": _medians(x, train, codes), "has_missing": has_missing}
        rest["category_counts"] = _category_counts(x, train, codes)
    targets = np.asarray(y[train])
    if num_classes:
        rest["class_counts"] = class_counts(targets, num_classes)
    else:
        target_std = targets.std(axis=0, dtype=np.float64)
        rest["target_mean"] = targets.mean(axis=0, dtype=np.float64).tolist()
        rest["target_std"] = np.where(target_std > 0, target_std, 1.0).tolist()
    return TrainStatistics(kind, len(train), mean, std, **rest)


def class_counts(y: Array, num_classes: int) -> tuple[int, ...]:
    """The number of rows of each class (n,), or with each label (n, labels)."""
    counts = y.sum(axis=0, dtype=np.int64) if y.ndim == 2 else np.bincount(y, minlength=num_classes)
    return tuple(counts.tolist())


def neutral_statistics(
    kind: str, input_shape: tuple[int, ...], columns: Sequence[Column] = (), dtype: str = "float32"
) -> TrainStatistics:
    """Mean 0 and std 1 in the right shapes, to build a module whose weights and statistics are then loaded.

    `input_shape` is one row as a model sees it: (C, H, W) for an image.
    """
    if not columns:
        shape = (*input_shape[1:], input_shape[0]) if kind == "image" else input_shape
        return TrainStatistics(kind, 0, np.zeros(shape), np.ones(shape), 0.0, 1.0)
    zeros, ones = np.zeros(len(columns)), np.ones(len(columns))
    seen = {i: column.is_seen.astype(np.int64) for i, column in enumerate(columns) if column.type == "category"}
    has_missing = np.array([bool(column.has_missing) for column in columns])
    return TrainStatistics(kind, 0, zeros, ones, 0.0, 1.0, None, zeros, has_missing, seen, dtype)


def input_columns(columns: Sequence[Column], statistics: TrainStatistics) -> tuple[Column, ...]:
    """The columns of a table, as stored, with what the train rows say of them: what a model is given.

    These are its numbers, a 0/1 for each that may be missing, and its categories as indices: those that train rows
    have, from 1 in the order of their codes; 0 stands for every other text.
    """
    inputs = []
    for index, column in enumerate(columns):
        if column.type == "number":
            assert statistics.has_missing is not None
            inputs.append(replace(column, has_missing=bool(statistics.has_missing[index])))
        else:
            counts = zip(column.categories, statistics.category_counts[index], strict=True)
            inputs.append(replace(column, unseen=tuple(text for text, count in counts if not count)))
    return tuple(inputs)


def input_names(columns: Sequence[Column]) -> list[str]:
    """Names of the values that a model is given for one row, in their order."""
    numbers = [column for column in columns if column.type == "number"]
    indicators = [f"{column.name} is missing" for column in numbers if column.has_missing]
    indices = [f"{column.name} (index)" for column in columns if column.type == "category"]
    return [*(column.name for column in numbers), *indicators, *indices]


def category_sizes(columns: Sequence[Column]) -> tuple[int, ...]:
    """The size of each category column's vocabulary, and one more for the unknown."""
    return tuple(int(column.is_seen.sum()) + 1 for column in columns if column.type == "category")


def channel_statistics(statistics: TrainStatistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and std of each channel (last axis) over all rows and places, from those of each feature.

    The variance over a channel is the mean variance of its features plus the variance of their means.
    """
    mean = statistics.mean.reshape(-1, statistics.mean.shape[-1])
    variance = np.square(statistics.std).reshape(mean.shape)
    return mean.mean(axis=0), np.sqrt(variance.mean(axis=0) + mean.var(axis=0))


def statistics_as_arrays(statistics: TrainStatistics) -> dict[str, Array]:
    """The statistics as arrays, for `numpy.savez`; what is None is left out."""
    known = {name: value for name, value in vars(statistics).items() if value is not None}
    counts = {f"category_counts.{index}": array for index, array in known.pop("category_counts").items()}
    return {name: np.asarray(value) for name, value in known.items()} | counts


def statistics_from_arrays(arrays: Mapping[str, Any]) -> TrainStatistics:
    """The inverse of `statistics_as_arrays`."""
    prefix = "category_counts."
    counts = {int(name.removeprefix(prefix)): arrays[name] for name in arrays if name.startswith(prefix)}
    known: dict[str, Any] = {"category_counts": dict(sorted(counts.items()))}
    for name in {entry.name for entry in fields(TrainStatistics)}.intersection(arrays):
        value = np.asarray(arrays[name])
        is_array = value.ndim > 0 and name not in ("target_mean", "target_std")
        known[name] = value if is_array else value.tolist()
    if "class_counts" in known:
        known["class_counts"] = tuple(known["class_counts"].tolist())
    return TrainStatistics(**known)


def _moments(x: Array, rows: NDArray[np.int64]) -> tuple[Array, NDArray[np.float64], NDArray[np.float64]]:
    """The count of numbers, their mean, and the sum of squares about it; NaN is left out.

    Blocks are merged by Chan, Golub and LeVeque 1983, equations 1.5a and 1.5b.
    """
    shape = x.shape[1:]
    counts, mean, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for block in _blocks(x, rows):
        values = block.astype(np.float64)
        is_missing = np.isnan(values)
        present = len(values) - is_missing.sum(axis=0)
        block_mean = values.sum(axis=0, where=~is_missing) / np.maximum(present, 1.0)
        values -= block_mean
        values[is_missing] = 0.0
        merged = np.maximum(counts + present, 1.0)
        delta = block_mean - mean
        squares += np.einsum("i...,i...->...", values, values) + np.square(delta) * (counts * present / merged)
        mean += delta * (present / merged)
        counts += present
    return counts, mean, squares


def _medians(x: Array, rows: NDArray[np.int64], codes: Mapping[int, Column]) -> NDArray[np.float64]:
    """(d,) The median of each number column, NaN left out; some columns at a time. 0 for the others."""
    medians = np.zeros(x.shape[1])
    size = max(1, MEDIAN_BYTES // max(1, len(rows) * x.dtype.itemsize))
    for start in range(0, x.shape[1], size):
        values = x[:, start : start + size][rows]
        present = ~np.isnan(values).all(axis=0)
        medians[start : start + size][present] = np.nanmedian(values[:, present].astype(np.float64), axis=0)
    medians[list(codes)] = 0.0
    return medians


def _category_counts(x: Array, rows: NDArray[np.int64], codes: Mapping[int, Column]) -> dict[int, NDArray[np.int64]]:
    """The number of rows with each code; a code that stands for no known text is not counted."""
    counts = {index: np.zeros(len(column.categories) + 1, np.int64) for index, column in codes.items()}
    for block in _blocks(x, rows) if codes else ():
        for index, known in counts.items():
            np.add(known, np.bincount(block[:, index].astype(np.int64) + 1, minlength=len(known)), out=known)
    return {index: count[1:] for index, count in counts.items()}


def _blocks(x: Array, rows: NDArray[np.int64]) -> Iterator[Array]:
    size = max(1, BLOCK_BYTES // max(1, x[:1].size * 8))
    return (np.asarray(x[rows[start : start + size]]) for start in range(0, len(rows), size))
