"""Rows: what a source returns, and what is checked before anything else looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import Problem, raise_problems

Task = Literal["multiclass", "binary", "multilabel", "regression"]
Kind = Literal["image", "table", "array"]

Array = NDArray[Any]
TARGET_TYPES = {"multiclass": "int64", "binary": "int64", "multilabel": "uint8", "regression": "float32"}


@dataclass(frozen=True, eq=False)
class Rows:
    """All rows of a data set, train, val and test alike, in the order of the source.

    Attributes:
        x: (n, H, W, C) uint8 images, (n, d) float32 tables, (n, ...) arrays.
        y: (n,) int64 class indices (binary: 0 and 1), (n,) float32 targets, or (n, k) uint8 labels.
        task: What is predicted.
        kind: How `x` is laid out.
        class_names: One per class or label, in the order of the indices; empty for regression.
        feature_names: One per column of a table; empty otherwise.
        official_test: (n,) True for the rows of the published test part; None where there is none.
        target_name: A table's column that `y` comes from.
        groups: (n,) Number of the group of each row: a patient, a scene; a group stays on one side. None: no groups.
        times: (n,) When each row was taken, as a number; None where that is not known.
    """

    x: Array
    y: Array
    task: Task
    kind: Kind
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    official_test: NDArray[np.bool_] | None = None
    target_name: str = "target"
    groups: NDArray[np.int64] | None = None
    times: NDArray[Any] | None = None


def check_rows(rows: Rows, where: str = "data.source") -> None:
    """Refuse rows that no run could use.

    Raises:
        InputError: Every problem found, each with the row or column it was found in.
    """
    found = [*_shape_problems(rows), *_target_problems(rows)] if len(rows.x) else ["has no rows"]
    raise_problems([Problem(where, what) for what in found or _value_problems(rows)])


def stratum_of(y: Array, task: str) -> NDArray[np.int64] | None:
    """The class of every row, which is what splits are stratified by; None for tasks without classes."""
    return y.astype(np.int64, copy=False) if task in ("multiclass", "binary") else None


def _shape_problems(rows: Rows) -> list[str]:
    found = []
    x, y, num_rows = rows.x, rows.y, len(rows.x)
    if len(y) != num_rows:
        found.append(f"has {num_rows} rows and {len(y)} targets")
    if rows.official_test is not None and rows.official_test.shape != (num_rows,):
        found.append(f"official_test has shape {rows.official_test.shape}, expected ({num_rows},)")
    for name, values in (("groups", rows.groups), ("times", rows.times)):
        if values is not None and values.shape != (num_rows,):
            found.append(f"{name} has shape {values.shape}, expected ({num_rows},)")
    if rows.kind == "image" and (x.ndim != 4 or x.dtype != np.uint8):
        found.append(f"images are {x.dtype} of shape {x.shape}, expected uint8 of shape (n, height, width, channels)")
    if rows.kind == "table" and (x.ndim != 2 or x.dtype != np.float32):
        found.append(f"a table is {x.dtype} of shape {x.shape}, expected float32 of shape (n, columns)")
    if rows.kind == "table" and x.ndim == 2 and rows.feature_names and len(rows.feature_names) != x.shape[1]:
        found.append(f"has {x.shape[1]} columns and {len(rows.feature_names)} feature names")
    if 0 in x.shape[1:]:
        found.append(f"rows have no features (shape {x.shape})")
    return found


def _target_problems(rows: Rows) -> list[str]:
    expected = TARGET_TYPES.get(rows.task)
    if expected is None:
        return [f"task {rows.task!r} is none of {', '.join(TARGET_TYPES)}"]
    y, dimensions = rows.y, 2 if rows.task == "multilabel" else 1
    if str(y.dtype) != expected or y.ndim != dimensions:
        return [
            f"targets of a {rows.task} task are {y.dtype} with {y.ndim} axes, expected {expected} with {dimensions}"
        ]
    if rows.task == "regression":
        return []
    num_classes = len(rows.class_names)
    if rows.task == "multilabel":
        return [] if y.shape[1] == num_classes else [f"has {y.shape[1]} labels and {num_classes} class names"]
    if num_classes < 2 or (rows.task == "binary" and num_classes != 2):
        return [f"a {rows.task} task has {num_classes} class names"]
    outside = np.flatnonzero((y < 0) | (y >= num_classes))
    return [f"row {outside[0]} has class {y[outside[0]]}, expected 0 to {num_classes - 1}"] if len(outside) else []


def _value_problems(rows: Rows) -> list[str]:
    found = []
    for name, values in (("x", rows.x), ("y", rows.y)):
        if values.dtype.kind != "f" or np.isfinite(values).all():
            continue
        places = np.argwhere(~np.isfinite(values))
        row, *rest = places[0].tolist()
        column = f", column {rows.feature_names[rest[0]]!r}" if name == "x" and rest and rows.feature_names else ""
        found.append(f"{name} has {len(places)} values that are not finite; the first in row {row}{column}")
    return found
