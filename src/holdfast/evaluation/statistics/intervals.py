"""Intervals for the numbers of the one evaluation: how far another sample of test rows could have moved them.

Where rows are of declared groups, groups are resampled and not rows. An interval is {"value", "low", "high", "method"}
and always finite, the value in float64 by the formula of its interval; the method names every fallback that was needed.
What cannot be computed from these rows (AUROC of rows of one class) has value null and the interval [0, 1] of all it
could be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.tasks import task_of
from holdfast.evaluation.statistics import delong, resampling
from holdfast.evaluation.statistics.sampling import DEFAULT, Sampling, wilson

INTERVALS = {"draws": resampling.DRAWS, "seed": DEFAULT.seed}
DEFINITIONS = {
    "loss": "mean -log p of the true class, p float32 and not below 1e-12; of values, squared error / train variance",
    "accuracy": "share of rows that are right; of labels, rows with all of them right",
    "precision_macro": "mean over classes that occur or are guessed of hits / guesses, 0/0 = 0",
    "recall_macro": "mean over classes that occur or are guessed of hits / rows of the class, 0/0 = 0",
    "f1_macro": "mean over classes that occur or are guessed of 2 hits / (guesses + rows of the class)",
    "auroc_macro": "mean over classes that occur of the area under the ROC curve, the class against all others",
    "mae": "mean absolute error",
    "rmse": "root of the mean squared error",
    "r2": "1 - squared error / squared deviation from the mean",
}
COUNTED = ("accuracy", "precision_macro", "recall_macro", "f1_macro")

Array = NDArray[Any]
Interval = dict[str, Any]


def metric_intervals(
    values: Mapping[str, float],
    predictions: Array,
    y: Array,
    *,
    task: str,
    target_std: float = 1.0,
    sampling: Sampling = DEFAULT,
) -> dict[str, Interval]:
    """The interval of every metric in `values`, in their order.

    Args:
        values: Metrics of these rows by bare name; NaN where a metric is not defined.
        predictions: (n, classes) or (n, labels) probabilities, (n,) P(1), or (n,) values.
        y: (n,) or (n, labels) targets.
        task: "multiclass", "binary", "multilabel" or "regression".
        target_std: Unit of a regression's loss.
        sampling: How intervals are taken.
    """
    kind = task_of(task)
    if kind.is_values:
        intervals = resampling.error_intervals(predictions, y, target_std, sampling)
        return {name: _complete(value, intervals.get(name)) for name, value in values.items()}
    intervals = {"loss": resampling.mean_interval(kind.row_losses(predictions, y), sampling)}
    guess = kind.guesses(predictions)
    truth = kind.truth(y, guess.shape[1])
    intervals |= _counted(truth, guess, sampling, is_multilabel=kind.is_labels)
    if "auroc_macro" in values:
        intervals["auroc_macro"] = delong.auroc_interval(kind.scores(predictions), truth, sampling)
    return {name: _complete(value, intervals.get(name)) for name, value in values.items()}


def _counted(
    truth: NDArray[np.bool_],
    guess: NDArray[np.bool_],
    sampling: Sampling,
    *,
    is_multilabel: bool,
) -> dict[str, Interval]:
    """Intervals of what follows from counts of rows."""
    is_right = (truth == guess).all(axis=1)
    counts = (truth & guess).sum(axis=0), guess.sum(axis=0), truth.sum(axis=0)
    macro = resampling.macro_metrics(*counts, is_multilabel=is_multilabel).tolist()
    drawn = resampling.count_intervals(truth, guess, sampling, is_multilabel=is_multilabel)
    num_units = sampling.num_units(np.ones(len(truth), bool))
    draws = "multinomial draws" if sampling.groups is None else "draws of groups"
    draws += resampling.draws_note(len(truth))
    intervals: dict[str, Interval] = {}
    for name, value in zip(COUNTED, [float(is_right.mean()), *macro], strict=True):
        (low, high), method = drawn[name], draws
        if name == "accuracy" and sampling.groups is None:
            (low, high), method = wilson(value, num_units, sampling), "wilson"
        elif sampling.is_small(num_units):
            (low, high), method = wilson(value, num_units, sampling), f"wilson of {num_units} groups"
        elif not low < high:
            # All draws agree, as where every row is right: they would claim to be certain.
            (low, high), method = wilson(value, num_units, sampling), f"wilson ({draws} do not vary)"
        intervals[name] = {"value": value, "low": low, "high": high, "method": method}
    return intervals


def _complete(value: float, interval: Interval | None) -> Interval:
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
