"""Two models on the same rows: the difference between them, its interval, and how surprising it would be by chance.

Proportions by McNemar's exact test (Fagerland, Lydersen and Laake 2013) and the interval of Bonett and Price (2012);
areas by DeLong; means of errors by the paired t test. Rows of declared groups are no independent pairs: their
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
from holdfast.evaluation.statistics.sampling import DEFAULT, Sampling, wilson

Array = NDArray[Any]


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
    first, results = predictions[0], list[dict[str, Any]]()
    for name, other in zip(names[1:], predictions[1:], strict=True):
        is_values = task_of(task).is_values
        compared = _errors(first, other, y, sampling) if is_values else _classes(first, other, y, task, sampling)
        results += [{"models": [names[0], name], **result} for result in compared]
    for metric in dict.fromkeys(result["metric"] for result in results):
        same = [result for result in results if result["metric"] == metric]
        for result, p in zip(same, holm([result["p"] for result in same]), strict=True):
            result["p_holm"] = p
    return results


def mcnemar(num_first: int, num_second: int) -> float:
    """Exact p value, two-sided, of rows that only the first or only the second model has right."""
    from scipy.stats import binomtest

    total = num_first + num_second
    return float(binomtest(num_first, total, 0.5).pvalue) if total else 1.0


def bonett_price(num_first: int, num_second: int, num_rows: int, sampling: Sampling = DEFAULT) -> tuple[float, float]:
    """Interval of the difference of two paired proportions (Bonett and Price 2012).

    P = (b+1)/(n+2), Q = (c+1)/(n+2), (P-Q) +- z sqrt((P + Q - (P-Q)^2) / (n+2)).
    """
    p, q = (num_first + 1) / (num_rows + 2), (num_second + 1) / (num_rows + 2)
    half = sampling.z() * math.sqrt((p + q - (p - q) ** 2) / (num_rows + 2))
    return max(-1.0, p - q - half), min(1.0, p - q + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm 1979), by statsmodels."""
    if len(p_values) < 2:
        return list(p_values)
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def _classes(first: Array, other: Array, y: Array, task: str, sampling: Sampling) -> list[dict[str, Any]]:
    kind = task_of(task)
    guesses = [kind.guesses(p) for p in (first, other)]
    truth = kind.truth(y, guesses[0].shape[1])
    right = [(truth == guess).all(axis=1) for guess in guesses]
    return [
        {"metric": "accuracy", **_proportions(right[0], right[1], sampling)},
        *_areas(first, other, truth, task, sampling),
    ]


def _proportions(first: NDArray[np.bool_], other: NDArray[np.bool_], sampling: Sampling) -> dict[str, Any]:
    only_first, only_other = int((first & ~other).sum()), int((other & ~first).sum())
    difference = (only_first - only_other) / len(first)
    counts = {"difference": difference, "only_first": only_first, "only_other": only_other}
    if sampling.groups is not None:
        return counts | _by_influence(difference, first.astype(np.float64) - other - difference, sampling)
    low, high = bonett_price(only_first, only_other, len(first), sampling)
    p, method = mcnemar(only_first, only_other), "McNemar exact, Bonett-Price"
    return counts | {"low": low, "high": high, "p": p, "method": method}


def _areas(first: Array, other: Array, truth: NDArray[np.bool_], task: str, sampling: Sampling) -> list[dict[str, Any]]:
    """DeLong's test of two areas on the same rows; nothing where no area is defined."""
    scores = [task_of(task).scores(p) for p in (first, other)]
    (area, influence), (other_area, other_influence) = (delong.macro_auroc(s, truth) for s in scores)
    if math.isnan(area):
        return []
    difference, influence = area - other_area, influence - other_influence
    is_certain = delong.standard_error(influence, sampling) < delong.NO_SPREAD
    if is_certain and sampling.num_units(np.ones(len(truth), bool)) > 1 and not np.array_equal(scores[0], scores[1]):
        # Two perfect rankings do not vary: as uncertain as one of them.
        half = 1.0 - wilson(1.0, delong.smallest_side(truth, sampling), sampling)[0]
        method = "wilson of the smallest class (DeLong does not vary)"
        interval = {"low": max(-1.0, difference - half), "high": min(1.0, difference + half), "p": 1.0}
        return [{"metric": "auroc_macro", "difference": difference, **interval, "method": method}]
    interval = _by_influence(difference, influence, sampling, method="DeLong")
    return [{"metric": "auroc_macro", "difference": difference, **interval}]


def _errors(first: Array, other: Array, y: Array, sampling: Sampling) -> list[dict[str, Any]]:
    """Mean absolute and squared errors: difference with a bootstrap interval, and a paired t test.

    Those of several targets are means over them.
    """
    errors = [np.abs(p.astype(np.float64) - y).reshape(len(y), -1) for p in (first, other)]
    results = []
    for metric, power in (("mae", 1), ("mse", 2)):
        differences = (errors[0] ** power - errors[1] ** power).mean(axis=1)
        interval = resampling.mean_interval(differences, sampling)
        difference = interval.pop("value")
        num_units = sampling.num_units(np.ones(len(y), bool))
        if num_units < 2:
            interval |= {"low": None, "high": None, "p": 1.0}
        else:
            error = delong.standard_error(differences - difference, sampling)
            if sampling.groups is None:
                error *= math.sqrt(num_units / (num_units - 1))
            interval["p"] = _p_value(difference, error, num_units - 1)
            interval["method"] = f"paired t, {interval['method']}"
        results.append({"metric": metric, "difference": difference, **interval})
    return results


def _by_influence(
    difference: float, influence: NDArray[np.float64], sampling: Sampling, *, method: str = "sums of rows"
) -> dict[str, Any]:
    """difference +- z error and the two-sided p value; by Student's t where rows are of groups."""
    from scipy.stats import t

    error, quantile, degrees = delong.standard_error(influence, sampling), sampling.z(), None
    if sampling.groups is not None:
        degrees = sampling.num_units(np.ones(len(influence), bool)) - 1
        if not degrees:
            return {"low": -1.0, "high": 1.0, "p": 1.0, "method": "none (one group)"}
        quantile = float(t.ppf((1 + sampling.confidence) / 2, degrees))
    low, high = max(-1.0, difference - quantile * error), min(1.0, difference + quantile * error)
    method = delong.by_group(method, sampling)
    return {"low": low, "high": high, "p": _p_value(difference, error, degrees), "method": method}


def _p_value(difference: float, error: float, degrees: int | None) -> float:
    from scipy.stats import norm, t

    distance = abs(difference) / error if error else (math.inf if difference else 0.0)
    return float(2 * (norm.sf(distance) if degrees is None else t.sf(distance, degrees)))
