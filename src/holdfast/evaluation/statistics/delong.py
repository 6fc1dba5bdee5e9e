"""Areas under ROC curves with their variance, on midranks (DeLong, DeLong and Clarke-Pearson 1988; Sun and Xu 2014).

The variance comes from the influence of each row on the area, which is that row's placement value among the rows of
the other side; of a macro average, that is averaged over the classes, which have no cases and controls in common. For
two classes this is DeLong's variance. Influences of rows of one group are summed (Obuchowski 1997).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.evaluation.statistics.sampling import Sampling, wilson

Array = NDArray[Any]
Truth = NDArray[np.bool_]
NO_SPREAD = 1e-10  # of a standard error: rankings that are perfect, or equal, do not vary


def placements(scores: Array, truth: Truth) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of controls below each case, and of cases above each control; a tie counts one half."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    num_cases, num_controls = int(truth.sum()), int((~truth).sum())
    cases = (ranks[truth] - rankdata(scores[truth])) / num_controls
    controls = 1.0 - (ranks[~truth] - rankdata(scores[~truth])) / num_cases
    return cases, controls


def macro_auroc(scores: Array, truth: Truth) -> tuple[float, NDArray[np.float64]]:
    """The mean area over (n, columns) with rows in and outside of them, and the influence of each row on it."""
    areas, influence, num_rows = [], np.zeros(len(scores)), len(scores)
    for column, inside in zip(scores.T, truth.T, strict=True):
        if inside.all() or not inside.any():
            continue
        cases, controls = placements(column, inside)
        areas.append(cases.mean())
        for rows, placed in ((inside, cases), (~inside, controls)):
            # n / m weighs a mean of m rows; the root makes the variance of a sample of m without bias.
            weight = num_rows / len(placed) * math.sqrt(len(placed) / max(1, len(placed) - 1))
            influence[rows] += weight * (placed - areas[-1])
    return (float(np.mean(areas)), influence / len(areas)) if areas else (math.nan, influence)


def standard_error(influence: NDArray[np.float64], sampling: Sampling) -> float:
    """The standard error of a mean whose rows have this influence."""
    if sampling.groups is None:
        return float(np.sqrt(np.square(influence).sum()) / len(influence))
    sums = np.bincount(np.unique(sampling.groups, return_inverse=True)[1], influence)
    return float(np.sqrt(np.square(sums).sum() * len(sums) / max(1, len(sums) - 1)) / len(influence))


def smallest_side(truth: Truth, sampling: Sampling) -> int:
    """Rows, or groups, in or outside of the column that has fewest of them, both being there."""
    columns = [column for column in truth.T if column.any() and not column.all()]
    return min(min(sampling.num_units(column), sampling.num_units(~column)) for column in columns)


def auroc_interval(scores: Array, truth: Truth, sampling: Sampling) -> dict[str, Any]:
    """Interval of the (macro) area on the logit scale, so that it stays within (0, 1)."""
    from scipy.special import expit, logit

    value, influence = macro_auroc(scores, truth)
    if math.isnan(value):
        return {"low": 0.0, "high": 1.0, "method": "none (one class)"}
    smallest, error = smallest_side(truth, sampling), standard_error(influence, sampling)
    if sampling.is_small(smallest) or smallest < 2 or error < NO_SPREAD or not 0 < value < 1:
        reason = f"{smallest} groups" if sampling.is_small(smallest) else "the smallest class (DeLong does not vary)"
        low, high = wilson(value, smallest, sampling)
        return {"value": value, "low": low, "high": high, "method": f"wilson of {reason}"}
    half = sampling.z() * error / (value * (1 - value))
    low, high = (float(expit(logit(value) + sign * half)) for sign in (-1, 1))
    return {"value": value, "low": low, "high": high, "method": by_group("DeLong, logit", sampling)}


def by_group(method: str, sampling: Sampling) -> str:
    """The name of a method with what its units are, where these are not rows."""
    return method if sampling.groups is None else f"{method}, by group"
