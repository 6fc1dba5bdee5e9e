"""Intervals for the numbers of the one evaluation: how far another sample of test rows could have moved them.

Where rows are of declared groups, groups are resampled and not rows. An interval is {"value", "low", "high", "method"}
and always finite, the value in float64 by the formula of its interval; the method names every fallback that was needed.
What cannot be computed from these rows (AUROC of rows of one class) has value null and the interval [0, 1] of all it
could be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.metrics import METRICS, of_counts
from holdfast.core.tasks import PerTarget, task_of
from holdfast.evaluation.statistics import delong, resampling
from holdfast.evaluation.statistics.sampling import DEFAULT, Sampling, wilson

INTERVALS = {"draws": resampling.DRAWS, "seed": DEFAULT.seed}
Array = NDArray[Any]
Interval = dict[str, Any]


def metric_intervals(
    values: Mapping[str, float],
    predictions: Array,
    y: Array,
    *,
    task: str,
    target_std: PerTarget = 1.0,
    sampling: Sampling = DEFAULT,
    measure: resampling.Measure | None = None,
) -> dict[str, Interval]:
    """The interval of every metric in `values`, in their order.

    Args:
        values: Metrics of these rows by bare name; NaN where a metric is not defined.
        predictions: (n, classes) or (n, labels) probabilities, (n,) P(1), or (n,) or (n, targets) values.
        y: (n,), (n, labels) or (n, targets) targets.
        target_std: Unit of a regression's loss.
        measure: Computes metrics of other rows, for those that are resampled as a whole; None: they have no interval.
    """
    kind = task_of(task)
    names = {
        how: [n for n in values if METRICS[n].interval == how] for how in ("counts", "rows", "delong", "bootstrap")
    }
    intervals: dict[str, Interval] = {}
    if kind.is_values:
        intervals |= resampling.error_intervals(names["rows"], predictions, y, target_std, sampling)
    else:
        guess = kind.guesses(predictions)
        truth = kind.truth(y, guess.shape[1])
        of_loss = resampling.mean_interval(kind.row_losses(predictions, y), sampling) if names["rows"] else {}
        intervals |= dict.fromkeys(names["rows"], of_loss)
        intervals |= _counted(names["counts"], truth, guess, sampling, is_multilabel=kind.is_labels)
        for name in names["delong"]:
            intervals[name] = delong.auroc_interval(kind.scores(predictions), truth, sampling)
    if names["bootstrap"] and measure is not None:
        chosen = {name: values[name] for name in names["bootstrap"]}
        intervals |= resampling.measured_intervals(chosen, predictions, y, measure, sampling)
    return {name: complete(value, intervals.get(name)) for name, value in values.items()}


def _counted(
    names: Sequence[str],
    truth: NDArray[np.bool_],
    guess: NDArray[np.bool_],
    sampling: Sampling,
    *,
    is_multilabel: bool,
) -> dict[str, Interval]:
    """Intervals of what follows from counts of rows."""
    if not names:
        return {}
    seen = resampling.count(truth, guess, is_multilabel=is_multilabel)
    drawn = resampling.count_intervals(names, truth, guess, sampling, is_multilabel=is_multilabel)
    num_units = sampling.num_units(np.ones(len(truth), bool))
    draws = "multinomial draws" if sampling.groups is None else "draws of groups"
    draws += resampling.draws_note(len(truth))
    intervals: dict[str, Interval] = {}
    for name in names:
        value = float(of_counts(name)(seen))
        (low, high), method = drawn[name], draws
        if name == "accuracy" and sampling.groups is None:
            (low, high), method = wilson(value, num_units, sampling), "wilson"
        elif sampling.is_small(num_units):
            (low, high), method = _as_share(name, value, num_units, sampling), f"wilson of {num_units} groups"
        elif not low < high:
            # All draws agree, as where every row is right: they would claim to be certain.
            (low, high), method = _as_share(name, value, num_units, sampling), f"wilson ({draws} do not vary)"
        intervals[name] = {"value": value, "low": low, "high": high, "method": method}
    return intervals


def _as_share(name: str, value: float, num_units: int, sampling: Sampling) -> tuple[float, float]:
    """Wilson's interval of a metric as if it were a share of the units; one from -1 to 1 is brought to 0 to 1."""
    if METRICS[name].is_share:
        return wilson(value, num_units, sampling)
    low, high = wilson((1.0 + value) / 2, num_units, sampling)
    return 2 * low - 1, 2 * high - 1


def complete(value: float, interval: Interval | None) -> Interval:
    """Value and interval as JSON has them: what is not a number is null."""
    if not math.isfinite(value):
        is_open = interval is not None and interval["low"] == 0.0 and interval["high"] == 1.0
        bounds = {"low": 0.0, "high": 1.0} if is_open else {"low": None, "high": None}
        return {"value": None, **bounds, "method": "none (not defined on these rows)"}
    if interval is None:
        return {"value": value, "low": None, "high": None, "method": "none"}
    if not (math.isfinite(interval["low"]) and math.isfinite(interval["high"])):
        method = interval["method"] if interval["method"].startswith("none") else "none (not defined on these rows)"
        return {"value": value, "low": None, "high": None, "method": method}
    return {"value": float(interval.get("value", value)), **{key: interval[key] for key in ("low", "high", "method")}}
