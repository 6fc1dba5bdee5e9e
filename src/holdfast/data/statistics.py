"""What is known of the train rows as a whole: mean, spread, counts. Val rows have no part in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.rows import Array

BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True, eq=False)
class TrainStatistics:
    """Statistics of the train rows.

    Attributes:
        kind: "image", "table" or "array".
        num_rows: The number of train rows.
        mean: Of every feature, shaped like one row as stored (an image: H, W, C).
        std: Population standard deviation of every feature; 0 for a constant one.
        target_mean: Of the targets; None unless the task is a regression.
        target_std: Likewise.
        class_counts: Rows of each class, or with each label; None for a regression.
    """

    kind: str
    num_rows: int
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    target_mean: float | None
    target_std: float | None
    class_counts: tuple[int, ...] | None


def train_statistics(x: Array, y: Array, train: NDArray[np.int64], *, kind: str, num_classes: int) -> TrainStatistics:
    """Take the statistics of the rows `train` of a memory map, in two passes and in blocks.

    Args:
        x: (n, ...) development rows.
        y: (n,) or (n, k) their targets.
        train: Indices of the train rows.
        kind: "image", "table" or "array".
        num_classes: Classes or labels; 0 for a regression.
    """
    total = np.zeros(x.shape[1:], np.float64)
    for block in _blocks(x, train):
        total += block.sum(axis=0, dtype=np.float64)
    mean = total / len(train)
    squares = np.zeros_like(mean)
    for block in _blocks(x, train):
        squares += np.square(block - mean).sum(axis=0)
    std = np.sqrt(squares / len(train))
    # The mean of equal numbers is off by rounding; float32 rows cannot vary by less than this.
    std[std <= 1e-7 * np.abs(mean)] = 0.0
    targets = np.asarray(y[train])
    if num_classes:
        counts = targets.sum(axis=0, dtype=np.int64) if y.ndim == 2 else np.bincount(targets, minlength=num_classes)
        return TrainStatistics(kind, len(train), mean, std, None, None, tuple(counts.tolist()))
    target_mean, target_std = float(targets.mean(dtype=np.float64)), float(targets.std(dtype=np.float64))
    return TrainStatistics(kind, len(train), mean, std, target_mean, target_std, None)


def neutral_statistics(kind: str, input_shape: tuple[int, ...]) -> TrainStatistics:
    """Mean 0 and std 1 in the right shapes, to build a module whose weights and statistics are then loaded.

    Args:
        kind: "image", "table" or "array".
        input_shape: As a model sees one row: (C, H, W) for an image.
    """
    shape = (*input_shape[1:], input_shape[0]) if kind == "image" else input_shape
    return TrainStatistics(kind, 0, np.zeros(shape), np.ones(shape), 0.0, 1.0, None)


def channel_statistics(statistics: TrainStatistics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and std of each channel (last axis) over all rows and places, from those of each feature.

    The variance over a channel is the mean variance of its features plus the variance of their means.
    """
    mean = statistics.mean.reshape(-1, statistics.mean.shape[-1])
    variance = np.square(statistics.std).reshape(mean.shape)
    return mean.mean(axis=0), np.sqrt(variance.mean(axis=0) + mean.var(axis=0))


def statistics_as_arrays(statistics: TrainStatistics) -> dict[str, Array]:
    """The statistics as arrays, for `numpy.savez`."""
    nan = math.nan
    target = [nan if value is None else value for value in (statistics.target_mean, statistics.target_std)]
    counts = [-1] if statistics.class_counts is None else list(statistics.class_counts)
    return {
        "kind": np.array(statistics.kind),
        "num_rows": np.array(statistics.num_rows),
        "mean": statistics.mean,
        "std": statistics.std,
        "target": np.array(target),
        "class_counts": np.array(counts, np.int64),
    }


def statistics_from_arrays(arrays: Any) -> TrainStatistics:
    """The inverse of `statistics_as_arrays`."""
    target = [None if math.isnan(value) else value for value in arrays["target"].tolist()]
    counts = tuple(arrays["class_counts"].tolist())
    return TrainStatistics(
        kind=str(arrays["kind"]),
        num_rows=int(arrays["num_rows"]),
        mean=arrays["mean"],
        std=arrays["std"],
        target_mean=target[0],
        target_std=target[1],
        class_counts=None if counts == (-1,) else counts,
    )


def _blocks(x: Array, rows: NDArray[np.int64]) -> Iterator[Array]:
    size = max(1, BLOCK_BYTES // max(1, x[:1].size * 8))
    return (np.asarray(x[rows[start : start + size]]) for start in range(0, len(rows), size))
