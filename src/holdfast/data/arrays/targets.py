"""Targets from arrays: classes, labels or values, told by their shape, type and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.tables.cells import Vocabulary
from holdfast.data.tables.labels import Target, target_of


def targets_from_array(y: NDArray[Any], task: str, class_names: Sequence[str], name: str = "y") -> Target:
    """Targets from an array.

    Args:
        y: (n,) or (n, 1) classes, texts or values; (n, k) labels of 0 and 1, or one-hot classes.
        task: "auto", "classes" or "regression".
        class_names: One for each class 0, 1, ..., or for each label.
        name: How they are called.

    Raises:
        InputError: They are none of these, or some are missing.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.dtype.kind in "biuf" and np.isin(y, (0, 1)).all():
        if not (y.sum(axis=1) == 1).all():
            names = [str(name) for name in class_names] or [f"label {index}" for index in range(y.shape[1])]
            return target_of(names, [*y.astype(np.float64).T], [Vocabulary() for _ in names], task)
        y = y.argmax(axis=1)
    if y.ndim != 1:
        raise InputError(
            "data.path",
            f"y is {y.dtype} of shape {y.shape}",
            allowed="(n,) classes or values, or (n, k) labels of 0 and 1",
        )
    if y.dtype.kind == "U" and (y == "").any():
        raise InputError("data.path", f"y, row {int(np.argmax(y == ''))}: is empty, not a target")
    if y.dtype.kind == "U" or class_names:
        names, codes = _named(y, class_names)
        vocabulary = Vocabulary(names)
        return target_of([name], [codes], [vocabulary], task)
    numbers = y.astype(np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise InputError("data.path", f"y, row {row}: is {numbers[row]}, not a target")
    if task == "auto" and y.dtype.kind in "biu" and _counts_up(numbers):
        task = "classes"
    return target_of([name], [numbers], [Vocabulary()], task)


def _counts_up(numbers: NDArray[np.float64]) -> bool:
    """Tell whether integers are the indices of classes: 0, 1, ... with several rows each."""
    distinct, counts = np.unique(numbers, return_counts=True)
    return bool(distinct[0] == 0 and distinct[-1] == len(distinct) - 1 and counts.mean() >= 5)


def _named(y: NDArray[Any], class_names: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    if y.dtype.kind == "U":
        distinct, codes = np.unique(y, return_inverse=True)
        return distinct.tolist(), codes.astype(np.int64)
    names = [str(name) for name in class_names]
    if y.dtype.kind == "f" or y.min() < 0 or y.max() >= len(names):
        raise InputError(
            "data.path", f"y is {y.dtype} from {y.min()} to {y.max()} and there are {len(names)} class names"
        )
    return names, y.astype(np.int64)
