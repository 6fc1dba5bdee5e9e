"""The metrics, an entry each, in the order in which they are shown. Whoever wants to know something of one asks here.

`training.metrics` builds them, `evaluation.statistics` gives them intervals, `vault.ledger.leaked_bits` counts what
they tell of the test rows. A metric of the user's own is no entry: it is a torchmetrics class in the group `metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.tasks import Task, task_of

Array = NDArray[Any]
Interval = Literal["counts", "rows", "delong", "bootstrap"]


@dataclass(frozen=True, eq=False)
class Counts:
    """The counts that a metric is computed from; the first axes are those of samples."""

    rows: Array  # (...,) how many rows there are
    right: Array  # (...,) those that are right; of labels, with all of them right
    hits: Array  # (..., columns) rows of the class or label that were guessed so
    guessed: Array  # (..., columns) rows that were guessed so
    true: Array  # (..., columns) rows of it
    is_labels: bool = False  # whether columns are labels

    def macro(self, top: Array, bottom: Array) -> Array:
        """The mean over columns of a ratio, 0/0 = 0; a class that neither occurs nor is guessed does not count."""
        counts = np.ones(top.shape, bool) if self.is_labels else self.guessed + self.true > 0
        return _mean_ratio(top, bottom, counts)


@dataclass(frozen=True)
class Metric:
    """An entry of the table of metrics."""

    name: str  # as records, options and `monitor` have it
    definition: str  # in words; frozen with a selection
    # kind of task -> its torchmetrics class, as a dotted path; empty for the loss, which no class gives
    targets: Mapping[str, str] = field(default_factory=dict)
    # "counts": by draws of the counts that it follows from, which also bound its bits; "rows": by the bootstrap of a
    # mean over rows; "delong"; "bootstrap": by computing it again on rows that are drawn
    interval: Interval = "bootstrap"
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of the class, beside the facts of the task
    of_counts: Callable[[Counts], Array] | None = None  # the metric of counts
    is_lower_better: bool = False
    is_share: bool = False  # whether it is written in per cent
    is_asked_for: bool = False  # whether it is computed only where `metrics`, `monitor` or a criterion names it
    is_for_val: bool = False  # whether it is left out on train rows, where it costs more than it tells
    state: str = ""  # metrics of one state are computed from the same sums


def _mean_ratio(top: Array, bottom: Array, counts: Array) -> Array:
    ratio = np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom > 0)
    return np.asarray((ratio * counts).sum(axis=-1) / np.maximum(counts.sum(axis=-1), 1))


def _matthews(counts: Counts) -> Array:
    """(c s - sum p t) / sqrt((s^2 - sum p^2) (s^2 - sum t^2)), 0 where that is not defined (Gorodkin 2004)."""
    covariance = counts.right * counts.rows - (counts.guessed * counts.true).sum(axis=-1)
    spreads = [counts.rows**2 - np.square(each).sum(axis=-1) for each in (counts.guessed, counts.true)]
    scale = np.sqrt(spreads[0] * spreads[1])
    return np.asarray(np.divide(covariance, scale, out=np.zeros(np.shape(scale)), where=scale > 0))


def _classes(name: str, *kinds: str) -> dict[str, str]:
    """One class of torchmetrics for classes, labels or both."""
    return dict.fromkeys(kinds or ("classes", "labels"), f"torchmetrics.{name}")


_OURS = "holdfast.training.metrics"
_AREA = dict.fromkeys(("classes", "labels"), "holdfast.training.areas.MacroArea")
_MACRO: dict[str, Any] = {"arguments": {"average": "macro"}, "is_share": True, "state": "macro", "interval": "counts"}

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "loss",
            "mean -log p of the true class, p float32 and not below 1e-12; of values, squared error / train variance",
            interval="rows",
            is_lower_better=True,
        ),
        Metric(
            "accuracy",
            "share of rows that are right; of labels, rows with all of them right",
            {"classes": "torchmetrics.Accuracy", "labels": "torchmetrics.ExactMatch"},
            interval="counts",
            of_counts=lambda counts: counts.right / counts.rows,
            is_share=True,
        ),
        Metric(
            "balanced_accuracy",
            "mean over classes that occur of hits / rows of the class",
            {"classes": f"{_OURS}.BalancedAccuracy"},
            interval="counts",
            of_counts=lambda counts: _mean_ratio(counts.hits, counts.true, counts.true > 0),
            is_share=True,
            is_asked_for=True,
        ),
        Metric(
            "precision_macro",
            "mean over classes that occur or are guessed of hits / guesses, 0/0 = 0",
            _classes("Precision"),
            of_counts=lambda counts: counts.macro(counts.hits, counts.guessed),
            **_MACRO,
        ),
        Metric(
            "recall_macro",
            "mean over classes that occur or are guessed of hits / rows of the class, 0/0 = 0",
            _classes("Recall"),
            of_counts=lambda counts: counts.macro(counts.hits, counts.true),
            **_MACRO,
        ),
        Metric(
            "f1_macro",
            "mean over classes that occur or are guessed of 2 hits / (guesses + rows of the class)",
            _classes("F1Score"),
            of_counts=lambda counts: counts.macro(2 * counts.hits, counts.guessed + counts.true),
            **_MACRO,
        ),
        Metric(
            "auroc_macro",
            "mean over classes that occur of the area under the ROC curve, the class against all others",
            _AREA,
            interval="delong",
            arguments={"area": "auroc"},
            is_share=True,
            is_for_val=True,
        ),
        Metric(
            "average_precision_macro",
            "mean over classes that occur of the area under the precision-recall curve, as a sum of steps",
            _AREA,
            arguments={"area": "average_precision"},
            is_share=True,
            is_asked_for=True,
        ),
        Metric(
            "mcc",
            "Matthews correlation coefficient; of several classes as Gorodkin (2004)",
            _classes("MatthewsCorrCoef", "classes"),
            interval="counts",
            of_counts=_matthews,
            is_asked_for=True,
        ),
        Metric(
            "log_loss",
            "mean -log p of the true class, p float32 and not below 1e-12, whatever loss was trained with",
            {"classes": f"{_OURS}.LogLoss", "labels": f"{_OURS}.LogLoss"},
            interval="rows",
            is_lower_better=True,
            is_asked_for=True,
        ),
        Metric(
            "mae",
            "mean absolute error",
            {"values": "torchmetrics.MeanAbsoluteError"},
            interval="rows",
            is_lower_better=True,
        ),
        Metric(
            "rmse",
            "root of the mean squared error",
            {"values": "torchmetrics.MeanSquaredError"},
            arguments={"squared": False},
            interval="rows",
            is_lower_better=True,
        ),
        Metric("r2", "1 - squared error / squared deviation from the mean", {"values": f"{_OURS}.R2"}, interval="rows"),
        Metric(
            "median_absolute_error",
            "median of the absolute errors",
            {"values": f"{_OURS}.AbsoluteErrorQuantile"},
            arguments={"share": 0.5},
            is_lower_better=True,
            is_asked_for=True,
        ),
        Metric(
            "p90_absolute_error",
            "the absolute error that nine of ten rows do not exceed",
            {"values": f"{_OURS}.AbsoluteErrorQuantile"},
            arguments={"share": 0.9},
            is_lower_better=True,
            is_asked_for=True,
        ),
        Metric(
            "mape",
            "mean of absolute error / |target|, |target| not below 1.17e-6",
            {"values": "torchmetrics.MeanAbsolutePercentageError"},
            interval="rows",
            is_lower_better=True,
            is_asked_for=True,
        ),
    )
}


def metrics_of(task: Task | str, *, asked_for: bool = True) -> tuple[str, ...]:
    """The names of the metrics that a task can have, or those that every epoch of it has."""
    kind = (task_of(task) if isinstance(task, str) else task).kind
    return tuple(
        name
        for name, metric in METRICS.items()
        if (name == "loss" or kind in metric.targets) and (asked_for or not metric.is_asked_for)
    )


def of_counts(name: str) -> Callable[[Counts], Array]:
    """The function of a metric of counts."""
    function = METRICS[name].of_counts
    assert function is not None
    return function


def is_share(name: str) -> bool:
    """Tell whether a metric is written in per cent."""
    return name in METRICS and METRICS[name].is_share


def is_imbalanced(class_counts: Sequence[int]) -> bool:
    """Tell whether the rarest class has less than half of the rows that each would have if all had the same."""
    return 2 * min(class_counts) * len(class_counts) < sum(class_counts)


def with_rare_classes(metrics: Mapping[str, Any], class_counts: Sequence[int] | None) -> dict[str, Any]:
    """Val metrics as a summary shows them: where a class is rare, recall leads beside the accuracy, which hides it."""
    leading = ("val/accuracy", "val/recall_macro")
    if not class_counts or not is_imbalanced(class_counts) or not all(name in metrics for name in leading):
        return dict(metrics)
    return {name: metrics[name] for name in (*leading, *(name for name in metrics if name not in leading))}


def in_order(names: Any) -> list[str]:
    """Names as they are shown: those of the table first, in its order, then the user's own."""
    return [*(name for name in METRICS if name in names), *(name for name in names if name not in METRICS)]
