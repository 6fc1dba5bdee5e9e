"""Areas under ROC curves with their variance, on midranks (DeLong, DeLong and Clarke-Pearson 1988; Sun and Xu 2014).

A macro average over classes has no cases and controls of its own. Its variance comes from the influence of each row
(the infinitesimal jackknife), which is that row's placement value among the rows of the other side, averaged over the
classes; for two classes this is DeLong's variance but for m/(m-1) against n/(n-1). Influences of rows of one
group are summed (Obuchowski 1997).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Truth = NDArray[np.bool_]
Groups = NDArray[np.int64] | None


def placements(scores: Array, truth: Truth) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of controls below each case, and of cases above each control; a tie counts one half."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    num_cases, num_controls = int(truth.sum()), int((~truth).sum())
    cases = (ranks[truth] - rankdata(scores[truth])) / num_controls
    controls = 1.0 - (ranks[~truth] - rankdata(scores[~truth])) / num_cases
    return cases, controls


def delong(scores: Array, truth: Truth) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas of k models on the same rows, and their covariance.

    Args:
        scores: (n, k).
        truth: (n,) with at least two rows of each side.
    """
    parts = [placements(column, truth) for column in scores.T]
    cases, controls = np.stack([part[0] for part in parts]), np.stack([part[1] for part in parts])
    covariance = np.cov(cases) / cases.shape[1] + np.cov(controls) / controls.shape[1]
    return cases.mean(axis=1), np.atleast_2d(covariance)


def macro_auroc(scores: Array, truth: Truth) -> tuple[float, NDArray[np.float64]]:
    """The mean area over the columns with rows in and outside of them, and the influence of each row on it.

    Args:
        scores: (n, columns).
        truth: (n, columns).
    """
    total, influence, num = 0.0, np.zeros(len(scores)), 0
    for column, inside in zip(scores.T, truth.T, strict=True):
        num_cases = int(inside.sum())
        if not 0 < num_cases < len(inside):
            continue
        cases, controls = placements(column, inside)
        area = cases.mean()
        influence[inside] += (cases - area) * len(inside) / num_cases
        influence[~inside] += (controls - area) * len(inside) / (len(inside) - num_cases)
        total, num = total + area, num + 1
    return (float(total / num), influence / num) if num else (math.nan, influence)


def auroc_interval(scores: Array, truth: Truth, confidence: float, groups: Groups = None) -> dict[str, Any]:
    """Interval of the (macro) area on the logit scale.

    Args:
        scores: (n, columns); two columns that rank the rows in opposite order are one binary task.
        truth: (n, columns).
        confidence: Of the interval.
        groups: (n,) group of every row.
    """
    value, influence = macro_auroc(scores, truth)
    if math.isnan(value):
        return {"low": 0.0, "high": 1.0, "method": "none (one class)"}
    smallest = smallest_side(truth)
    is_binary = is_one_task(scores, truth)
    if is_binary and groups is None and smallest > 1:
        variance, method = float(delong(scores[:, 1:], truth[:, 1])[1][0, 0]), "DeLong, logit"
    else:
        variance, method = variance_of(influence, groups), "DeLong influence, logit"
    if smallest < 2 or variance < 1e-20 or not 0 < value < 1:
        low, high = extreme_interval(value, smallest, confidence)
        method = "wilson of the smallest class (DeLong does not vary)"
        return {"value": value, "low": low, "high": high, "method": method}
    low, high = logit_interval(value, math.sqrt(variance), confidence)
    return {"value": value, "low": low, "high": high, "method": method if groups is None else f"{method}, by group"}


def logit_interval(value: float, error: float, confidence: float) -> tuple[float, float]:
    """value +- z error, taken to the logit scale by the delta method and back, so that it stays within (0, 1)."""
    from scipy.special import expit, logit
    from scipy.stats import norm

    half = norm.ppf((1 + confidence) / 2) * error / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def variance_of(influence: NDArray[np.float64], groups: Groups = None) -> float:
    """The variance of a mean whose rows have this influence."""
    num_rows = len(influence)
    if groups is not None:
        influence = np.bincount(np.unique(groups, return_inverse=True)[1], influence).astype(np.float64)
    units = len(influence)
    return float(np.square(influence).sum() / num_rows**2 * units / max(1, units - 1))


def smallest_side(truth: Truth) -> int:
    """Rows in or outside of the column that has fewest of them, both being there."""
    counts = truth.sum(axis=0)
    sides = np.minimum(counts, len(truth) - counts)
    return int(sides[sides > 0].min(initial=len(truth)))


def is_one_task(scores: Array, truth: Truth) -> bool:
    """Tell whether two columns are one binary task, said twice."""
    return scores.shape[1] == 2 and bool((truth[:, 0] != truth[:, 1]).all())


def extreme_interval(value: float, num_rows: int, confidence: float) -> tuple[float, float]:
    """The interval where ranks do not vary: Wilson's, of the area as a proportion of the rows in the smallest class."""
    from scipy.stats import norm

    z2 = norm.ppf((1 + confidence) / 2) ** 2
    centre = (value + z2 / (2 * num_rows)) / (1 + z2 / num_rows)
    half = math.sqrt(z2 * (value * (1 - value) / num_rows + z2 / (4 * num_rows**2))) / (1 + z2 / num_rows)
    return max(0.0, min(centre - half, value)), min(1.0, max(centre + half, value))
