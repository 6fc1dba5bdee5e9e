"""Calibration: whether a probability is the share of rows in which it comes true, and the temperature that helps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from holdfast.core.tasks import task_of

NUM_BINS = 15
TEMPERATURES = (0.05, 20.0)


def fit_temperature(loss_of: Callable[[float], float]) -> float:
    """The temperature with the least loss, between 0.05 and 20 (Guo et al. 2017, section 4.2).

    Args:
        loss_of: The loss at a temperature.
    """
    low, high = (math.log(temperature) for temperature in TEMPERATURES)
    result = minimize_scalar(lambda log: loss_of(math.exp(log)), bounds=(low, high), method="bounded")
    return float(math.exp(result.x))


def calibration(predictions: NDArray[np.float32], y: NDArray[Any], task: str) -> dict[str, Any]:
    """Measure how well probabilities are calibrated.

    Args:
        predictions: (n, classes) or (n, labels) probabilities, or (n,) P(second class).
        y: (n,) or (n, labels) targets.
        task: Any but a regression.

    Returns:
        "ece": the expected calibration error over 15 bins of equal width (Guo et al. 2017, equation 3). "brier": the
        mean squared difference of probabilities and outcomes: summed over more than two classes (Brier 1950), else of
        P(second class) or of each label. "bins": {"rows", "confidence", "accuracy"} of every bin with rows, for a
        reliability diagram. The confidence of a row is the probability of the class that is guessed, and its accuracy
        whether that is right; of labels each has its probability, and is true or not.
    """
    kind = task_of(task)
    exact = predictions.astype(np.float64)
    if kind.is_labels:
        confidence, is_right = exact.ravel(), np.asarray(y).ravel() > 0
        brier = float(np.square(confidence - is_right).mean())
    else:
        confidence = np.maximum(exact, 1.0 - exact) if kind.is_flat else exact.max(axis=1)
        guesses = kind.guesses(predictions)
        is_right = np.asarray((guesses & kind.truth(y, guesses.shape[1])).any(axis=1))
        truth = np.asarray(y) if kind.is_flat else kind.truth(y, exact.shape[1])
        squares = np.square(exact - truth)
        brier = float(squares.mean() if kind.is_flat else squares.sum(axis=1).mean())
    bin_of = np.clip(np.ceil(confidence * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    rows = np.bincount(bin_of, minlength=NUM_BINS)
    sums = {
        "confidence": np.bincount(bin_of, confidence, NUM_BINS),
        "accuracy": np.bincount(bin_of, is_right, NUM_BINS),
    }
    ece = float(np.abs(sums["accuracy"] - sums["confidence"]).sum() / rows.sum())
    filled = np.flatnonzero(rows)
    bins = [
        {"rows": int(rows[place]), **{name: float(total[place] / rows[place]) for name, total in sums.items()}}
        for place in filled
    ]
    return {"ece": ece, "brier": brier, "bins": bins}
