"""The differences between members of an ensemble: without a difference their mean brings nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.tasks import task_of

Matrix = list[list[float | None]]


def disagreement(predictions: NDArray[np.float32], task: str) -> Matrix:
    """(members, members) the share of decisions in which two members differ; of values the root mean square distance.

    Args:
        predictions: (members, n, ...) of every member.
        task: Their task.
    """
    kind = task_of(task)
    if kind.is_values:
        exact = predictions.astype(np.float64)
        return [[float(np.sqrt(np.square(first - second).mean())) for second in exact] for first in exact]
    guesses = [kind.guesses(each) for each in predictions]
    if not kind.is_labels:
        guesses = [each.argmax(axis=1) for each in guesses]
    return [[float((first != second).mean()) for second in guesses] for first in guesses]


def error_correlation(predictions: NDArray[np.float32], y: NDArray[Any], task: str) -> Matrix:
    """(members, members) the correlation of the losses of rows; of values that of the errors with their signs.

    Of several targets it is the mean of their correlations. Where a member has the same loss in all rows it is None.
    """
    kind = task_of(task)
    errors = np.stack([kind.outcomes(each, y) if kind.is_values else kind.row_losses(each, y) for each in predictions])
    of_targets = errors.astype(np.float64).reshape(*errors.shape[:2], -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = np.mean([np.atleast_2d(np.corrcoef(of_target)) for of_target in np.moveaxis(of_targets, 2, 0)], axis=0)
    return [[float(number) if np.isfinite(number) else None for number in row] for row in matrix]


def entropy(predictions: NDArray[np.float32], task: str) -> NDArray[np.float32]:
    """(n,) the entropy of predicted probabilities in nats; of labels the mean over them."""
    exact = predictions.astype(np.float64)
    kind = task_of(task)
    if kind.is_softmax:
        return np.asarray(-_plogp(exact).sum(axis=1), np.float32)
    own = -_plogp(exact) - _plogp(1.0 - exact)
    return np.asarray(own.mean(axis=1) if kind.is_labels else own, np.float32)


def differing(
    members: NDArray[np.float32], predictions: NDArray[np.float32], task: str, weights: Sequence[float]
) -> NDArray[np.float32]:
    """(n,) the share of members, by weight, that decide otherwise than the ensemble; of labels the mean over them.

    Args:
        members: (members, n, ...) of every member.
        predictions: (n, ...) of the ensemble.
        task: One with classes or labels.
        weights: Of the members; they sum to 1.
    """
    kind = task_of(task)
    decided = kind.guesses(predictions)
    differs = np.stack([kind.guesses(each) != decided for each in members])
    of_rows = differs.mean(axis=2) if kind.is_labels else differs.any(axis=2)
    return np.asarray(np.average(of_rows, axis=0, weights=weights), np.float32)


def _plogp(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """p ln p, 0 at 0."""
    return np.asarray(p * np.log(np.where(p > 0.0, p, 1.0)))
