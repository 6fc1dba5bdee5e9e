"""Two models on the same rows: the difference between them, its interval, and how surprising it would be by chance.

Proportions by McNemar's exact and mid-p test (Fagerland, Lydersen and Laake 2013) and the interval of Bonett and Price
(2012); areas by DeLong; means of errors by the paired t test. Rows of declared groups are no independent pairs: their
differences are summed by group. Several comparisons with one model are corrected by Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.tasks import task_of
from holdfast.evaluation.statistics import delong, resampling
from holdfast.evaluation.statistics.intervals import CONFIDENCE, DEFAULT
from holdfast.evaluation.statistics.resampling import Sampling

Array = NDArray[Any]
Groups = NDArray[np.int64] | None


def compare(
    predictions: Sequence[Array],
    names: Sequence[str],
    y: Array,
    *,
    task: str,
    sampling: Sampling = DEFAULT,
) -> list[dict[str, Any]]:
    """The first model against each other one.

    Returns:
        For each metric and each other model: {"metric", "models": [first, other], "difference" (first minus other),
        "low", "high", "p", "p_holm", "method"}, and what the test counted.
    """
    compare_two = _compare_errors if task_of(task).is_values else _compare_classes
    results: list[dict[str, Any]] = []
    for name, other in zip(names[1:], predictions[1:], strict=True):
        for result in compare_two(predictions[0], other, y, task, sampling):
            results.append({"models": [names[0], name], **result})
    for metric in dict.fromkeys(result["metric"] for result in results):
        same = [result for result in results if result["metric"] == metric]
        for result, p in zip(same, holm([result["p"] for result in same]), strict=True):
            result["p_holm"] = p
    return results


def mcnemar(num_first: int, num_second: int) -> tuple[float, float]:
    """Exact and mid-p value, two-sided, of rows that only the first or only the second model has right."""
    from scipy.stats import binom, binomtest

    total = num_first + num_second
    if not total:
        return 1.0, 1.0
    exact = float(binomtest(num_first, total, 0.5).pvalue)
    return exact, min(1.0, exact - float(binom.pmf(num_first, total, 0.5)))


def bonett_price(num_first: int, num_second: int, num_rows: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the difference of two paired proportions (Bonett and Price 2012).

    P = (b+1)/(n+2), Q = (c+1)/(n+2), (P-Q) +- z sqrt((P + Q - (P-Q)^2) / (n+2)).
    """
    from scipy.stats import norm

    p, q = (num_first + 1) / (num_rows + 2), (num_second + 1) / (num_rows + 2)
    half = float(norm.ppf((1 + confidence) / 2)) * math.sqrt((p + q - (p - q) ** 2) / (num_rows + 2))
    return max(-1.0, p - q - half), min(1.0, p - q + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm 1979), by statsmodels."""
    if len(p_values) < 2:
        return list(p_values)
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def _compare_classes(first: Array, other: Array, y: Array, task: str, sampling: Sampling) -> list[dict[str, Any]]:
    kind = task_of(task)
    guesses = [kind.guesses(p) for p in (first, other)]
    truth = kind.truth(y, guesses[0].shape[1])
    right = [(truth == guess).all(axis=1) for guess in guesses]
    return [
        {"metric": "accuracy", **_compare_proportions(right[0], right[1], sampling)},
        *_compare_areas(first, other, truth, task, sampling),
    ]


def _compare_proportions(first: NDArray[np.bool_], other: NDArray[np.bool_], sampling: Sampling) -> dict[str, Any]:
    only_first, only_other = int((first & ~other).sum()), int((other & ~first).sum())
    difference = (only_first - only_other) / len(first)
    groups, confidence = sampling.groups, sampling.confidence
    counts = {"only_first": only_first, "only_other": only_other}
    if groups is not None:
        centred = first.astype(np.float64) - other - difference
        error = math.sqrt(delong.variance_of(centred, groups))
        return {"difference": difference, **_normal(difference, error, confidence), **counts}
    exact, mid_p = mcnemar(only_first, only_other)
    low, high = bonett_price(only_first, only_other, len(first), confidence)
    return {
        "difference": difference,
        "low": low,
        "high": high,
        "p": exact,
        "mid_p": mid_p,
        "method": "McNemar exact, Bonett-Price",
        **counts,
    }


def _compare_areas(
    first: Array, other: Array, truth: NDArray[np.bool_], task: str, sampling: Sampling
) -> list[dict[str, Any]]:
    """DeLong's test of two areas on the same rows; nothing where no area is defined."""
    scores = [task_of(task).scores(p) for p in (first, other)]
    (area, influence), (other_area, other_influence) = (delong.macro_auroc(s, truth) for s in scores)
    if math.isnan(area):
        return []
    groups, confidence = sampling.groups, sampling.confidence
    smallest, difference = delong.smallest_side(truth), area - other_area
    if delong.is_one_task(scores[0], truth) and groups is None and smallest > 1:
        covariance = delong.delong(np.column_stack([s[:, 1] for s in scores]), truth[:, 1])[1]
        variance, method = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]), "DeLong"
    else:
        variance, method = delong.variance_of(influence - other_influence, groups), "DeLong influence"
    if variance < 1e-20 and not np.array_equal(scores[0], scores[1]):
        # Two perfect rankings do not vary: as uncertain as one of them.
        half = 1.0 - delong.extreme_interval(1.0, smallest, confidence)[0]
        low, high = max(-1.0, difference - half), min(1.0, difference + half)
        interval = {"low": low, "high": high, "p": 1.0, "method": "wilson of the smallest class (DeLong does not vary)"}
        return [{"metric": "auroc_macro", "difference": difference, **interval}]
    interval = _normal(difference, math.sqrt(max(variance, 0.0)), confidence)
    method = method if groups is None else f"{method}, by group"
    return [{"metric": "auroc_macro", "difference": difference, **interval, "method": method}]


def _compare_errors(first: Array, other: Array, y: Array, task: str, sampling: Sampling) -> list[dict[str, Any]]:
    """Mean absolute and squared errors: difference with a bootstrap interval, and a paired t test."""
    del task
    groups, confidence = sampling.groups, sampling.confidence
    errors = [np.abs(p.astype(np.float64) - np.asarray(y, np.float64)) for p in (first, other)]
    results = []
    for metric, power in (("mae", 1), ("mse", 2)):
        differences = errors[0] ** power - errors[1] ** power
        interval = resampling.mean_interval(differences, sampling)
        error = math.sqrt(delong.variance_of(differences - differences.mean(), groups))
        degrees = _num_units(groups, len(y)) - 1
        p = _normal(float(differences.mean()), error, confidence, degrees)["p"] if degrees else 1.0
        method = f"paired t, {interval['method']}"
        results.append({"metric": metric, "difference": interval.pop("value"), **interval, "p": p, "method": method})
    return results


def _normal(difference: float, error: float, confidence: float, degrees: int | None = None) -> dict[str, Any]:
    """difference +- z error and the two-sided p value; with `degrees` of freedom by Student's t."""
    from scipy.stats import norm, t

    law = norm if degrees is None else t(degrees)
    half = float(law.ppf((1 + confidence) / 2)) * error
    distance = abs(difference) / error if error else (math.inf if difference else 0.0)
    p = float(2 * law.sf(distance))
    return {"low": difference - half, "high": difference + half, "p": p, "method": "sums by group, normal"}


def _num_units(groups: Groups, num_rows: int) -> int:
    return num_rows if groups is None else len(np.unique(groups))
