"""Targets: classes, labels or values, decided by what the target columns hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.advice import setting
from holdfast.core.errors import InputError
from holdfast.core.tasks import class_task, task_of
from holdfast.data.rows import Array, Task
from holdfast.data.tables.column_types import as_numbers

WHERE = "data.target"
MAX_INTEGER_CLASSES = 20
ROWS_A_CLASS = 5
# A class of no more than this share of the rows is rare.
RARE_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class UsedColumn:
    """A column that is no feature: a target, the group, the time or the part."""

    name: str
    values: NDArray[Any]  # (n,) codes where there are texts, numbers otherwise
    texts: Sequence[str] = ()  # what the codes stand for, in order; none for numbers
    wrong: dict[str, NDArray[np.bool_]] = field(default_factory=dict)  # reasons, and (n,) rows that they are true of


@dataclass(frozen=True, eq=False)
class Target:
    """Targets as `Rows` has them, and one line about them."""

    y: Array
    task: Task
    class_names: tuple[str, ...]
    words: str


def target_of(columns: Sequence[UsedColumn], task: str) -> Target:
    """Decide the task, where it is "auto" and not "classes" or "regression", and encode the targets.

    Several columns are labels of 0 and 1, or several values.

    Raises:
        InputError: Nothing can be learned: the target is constant, all distinct, or has a class with one row.
    """
    if len(columns) > 1:
        return _several(columns, task)
    name, column, texts = columns[0].name, columns[0].values, columns[0].texts
    if texts:
        if task == "regression":
            raise InputError(WHERE, _holds_texts(columns[0]), allowed="numbers", next="data.task=classes")
        return _classes(name, tuple(texts), column, "text")
    distinct = np.unique(column)
    if len(distinct) == 1:
        raise InputError(WHERE, f"{name!r} is {distinct[0]:g} in every row: there is nothing to learn")
    why = _why_classes(distinct, len(column))
    if task == "classes" or (task == "auto" and why):
        class_names = tuple(str(int(value)) if value == int(value) else f"{value:g}" for value in distinct)
        return _classes(name, class_names, np.searchsorted(distinct, column), why or "as told")
    y = _values(name, column, distinct, task)
    words = f"target {name!r}: a regression, {distinct[0]:g} to {distinct[-1]:g} (data.task=classes for classes)"
    return Target(y, "regression", (), words)


def rare_note(target: Target) -> str:
    """The note on the rarest class where hardly a row has it; empty elsewhere."""
    if not task_of(target.task).is_classes:
        return ""
    counts = np.bincount(target.y, minlength=len(target.class_names))
    rarest, num_rows = int(counts.argmin()), len(target.y)
    if counts[rarest] > min(RARE_SHARE, 0.5 / len(counts)) * num_rows:
        return ""
    words = f"class {target.class_names[rarest]!r} has {counts[rarest]:,} of {num_rows:,} rows"
    return f"{words}: accuracy says little of it; data.sampling=balanced draws all classes as often"


def _why_classes(distinct: NDArray[np.float64], num_rows: int) -> str:
    """The reason why numbers are classes; empty where they are values."""
    if distinct.tolist() == [0.0, 1.0]:
        return "0 and 1"
    is_whole = bool((distinct == np.rint(distinct)).all())
    few = len(distinct) <= min(MAX_INTEGER_CLASSES, max(2, num_rows // ROWS_A_CLASS))
    return f"{len(distinct)} whole numbers" if is_whole and few else ""


def _values(name: str, column: NDArray[np.float64], distinct: NDArray[np.float64], task: str) -> NDArray[np.float32]:
    steps = np.diff(distinct)
    if task == "auto" and len(distinct) == len(column) >= MAX_INTEGER_CLASSES and (steps == 1).all():
        problem = f"{name!r} counts the rows ({distinct[0]:g} to {distinct[-1]:g}, all distinct)"
        raise InputError(WHERE, problem, next="choose another column, or data.task=regression if it is meant")
    with np.errstate(over="ignore"):
        y = column.astype(np.float32)
    if not np.isfinite(y).all():
        raise InputError(WHERE, f"{name!r} has values beyond float32 ({np.abs(column).max():g})", next="scale them")
    return y


def _classes(name: str, class_names: tuple[str, ...], y: NDArray[np.int64], why: str) -> Target:
    counts = np.bincount(y, minlength=len(class_names))
    if len(class_names) == 1:
        raise InputError(WHERE, f"{name!r} is {class_names[0]!r} in every row: there is nothing to learn")
    if len(class_names) >= len(y):
        problem = f"{name!r} has {len(class_names)} classes in {len(y)} rows: there must be several rows a class"
        raise InputError(WHERE, problem, next="choose another column" + _if_values(name, class_names, why))
    lonely = [repr(class_names[index]) for index in np.flatnonzero(counts == 1)]
    if lonely:
        problem = f"{name!r} has {len(lonely)} of {len(class_names)} classes with a single row: {', '.join(lonely[:5])}"
        raise InputError(WHERE, problem, next="join or remove them" + _if_values(name, class_names, why))
    shown = ", ".join(f"{n} ({count:,})" for n, count in list(zip(class_names, counts.tolist(), strict=True))[:10])
    more = f", ... ({len(class_names)} in all)" if len(class_names) > 10 else ""
    advice = _if_values(name, class_names, why) if why == "text" else ""
    words = f"target {name!r}: {len(class_names)} classes ({why}{advice}): {shown}{more}"
    return Target(y.astype(np.int64), class_task(len(class_names)), class_names, words)


def _if_values(name: str, class_names: Sequence[str], why: str) -> str:
    """The advice where classes were meant as values."""
    if why != "text":
        return ", or data.task=regression"
    advice = as_numbers(name, class_names)
    return f", or {advice}" if advice else ""


def _holds_texts(column: UsedColumn) -> str:
    return f"{column.name!r} holds texts ({column.texts[0]!r})"


def _several(columns: Sequence[UsedColumn], task: str) -> Target:
    """(n, k) labels where all columns are of 0 and 1, or of false and true; else values, where none looks like classes.

    Raises:
        InputError: A column is neither a label nor a value, or is the same in every row.
    """
    for column in columns:
        if column.values.min() == column.values.max():
            raise InputError(WHERE, f"{column.name!r} is the same in every row: there is nothing to learn")
    labels = {column.name: _label(column) for column in columns}
    no_labels = [name for name, label in labels.items() if label is None]
    if task == "regression" or (no_labels and task == "auto"):
        return _several_values(columns, task)
    if no_labels:
        problem = f"{no_labels[0]!r} is no label, and several columns of classes are labels"
        raise InputError(WHERE, problem, "0 and 1, or false and true", "data.task=regression predicts several values")
    y = np.column_stack(list(labels.values())).astype(np.uint8)  # type: ignore[arg-type]
    shown = ", ".join(f"{name} ({count:,})" for name, count in zip(labels, y.sum(axis=0, dtype=int), strict=True))
    return Target(y, "multilabel", tuple(labels), f"{len(labels)} labels: {shown}")


def _label(column: UsedColumn) -> NDArray[Any] | None:
    """A column of 0 and 1, or of false and true, as numbers; None for any other."""
    if column.texts:
        is_label = {*column.texts} <= {"false", "true"}
        return np.array([text == "true" for text in column.texts])[column.values] if is_label else None
    return column.values if np.isin(column.values, (0, 1)).all() else None


def _several_values(columns: Sequence[UsedColumn], task: str) -> Target:
    """(n, k) values from k columns of numbers."""
    targets, ranges = [], []
    for column in columns:
        name = column.name
        alone = f"classes are predicted on their own: {setting('data.target', name)}"
        if column.texts:
            allowed = "several columns of numbers; or of 0 and 1, or false and true, which are labels"
            raise InputError(WHERE, _holds_texts(column), allowed, as_numbers(name, column.texts) or alone)
        distinct = np.unique(column.values)
        if task == "auto" and (why := _why_classes(distinct, len(column.values))):
            problem = f"{name!r} looks like classes ({why}), and of several targets others are values"
            raise InputError(WHERE, problem, next=f"data.task=regression, if it is a value, too; {alone}")
        targets.append(_values(name, column.values, distinct, task))
        ranges.append(f"{name!r} {distinct[0]:g} to {distinct[-1]:g}")
    words = f"{len(columns)} targets, a regression: {', '.join(ranges)}"
    return Target(np.column_stack(targets), "multitarget", tuple(column.name for column in columns), words)


def targets_from_array(y: NDArray[Any], task: str, class_names: Sequence[str], name: str = "y") -> Target:
    """Targets from an array.

    Args:
        y: (n,) or (n, 1) classes, texts or values; (n, k) values, labels of 0 and 1, or one-hot classes.
        task: "auto", "classes" or "regression".
        class_names: One for each class 0, 1, ..., or for each label or column of values.

    Raises:
        InputError: They are none of these, or some are missing.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        place = tuple(np.argwhere(~np.isfinite(y))[0].tolist())
        raise InputError("data.path", f"y, row {place[0]}: is {y[place]}, not a target")
    if y.ndim == 2 and y.shape[1] and y.dtype.kind in "biuf":
        are_labels = task != "regression" and bool(np.isin(y, (0, 1)).all())
        if not are_labels or not (y.sum(axis=1) == 1).all():
            stem = "label " if are_labels else name
            names = [str(name) for name in class_names] or [f"{stem}{index}" for index in range(y.shape[1])]
            if len(names) != y.shape[1]:
                raise InputError("data.path", f"y has {y.shape[1]} columns and there are {len(names)} names")
            return target_of([UsedColumn(*named) for named in zip(names, y.astype(np.float64).T, strict=True)], task)
        y = y.argmax(axis=1)
    if y.ndim != 1:
        raise InputError(
            "data.path",
            f"y is {y.dtype} of shape {y.shape}",
            allowed="(n,) classes or values, or (n, k) values or labels of 0 and 1",
        )
    if y.dtype.kind == "U" and (y == "").any():
        raise InputError("data.path", f"y, row {int(np.argmax(y == ''))}: is empty, not a target")
    if y.dtype.kind == "U" or class_names:
        names, codes = _named(y, class_names)
        return target_of([UsedColumn(name, codes, names)], task)
    numbers = y.astype(np.float64)
    if task == "auto" and y.dtype.kind in "biu" and _counts_up(numbers):
        task = "classes"
    return target_of([UsedColumn(name, numbers)], task)


def _counts_up(numbers: NDArray[np.float64]) -> bool:
    """Tell whether integers are the indices of classes: 0, 1, ... with several rows each."""
    distinct, counts = np.unique(numbers, return_counts=True)
    return bool(distinct[0] == 0 and distinct[-1] == len(distinct) - 1 and counts.mean() >= 5)


def _named(y: NDArray[Any], class_names: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The names of classes in order, and the place of every row's among them."""
    names = list(map(str, np.unique(y) if y.dtype.kind == "U" else class_names))
    if y.dtype.kind != "U" and (y.dtype.kind == "f" or y.min() < 0 or y.max() >= len(names)):
        problem = f"y is {y.dtype} from {y.min()} to {y.max()} and there are {len(names)} class names"
        raise InputError("data.path", problem)
    written = y if y.dtype.kind == "U" else np.array(names)[y.astype(np.int64)]
    return sorted(names), np.searchsorted(sorted(names), written)
