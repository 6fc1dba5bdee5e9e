"""Metrics of an epoch by torchmetrics, accumulated on the device and read once.

An update of torchmetrics costs more than a step of a small model, so the outputs of many batches are kept and handed
over together.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, distributed
from torchmetrics import MeanSquaredError, Metric, MetricCollection
from torchmetrics.classification import (
    Accuracy,
    ExactMatch,
    F1Score,
    MulticlassAUROC,
    MultilabelAUROC,
    Precision,
    Recall,
)
from torchmetrics.regression import MeanAbsoluteError

from holdfast.core.tasks import task_of

ROWS_PER_UPDATE = 8192
# states of torchmetrics that are the same are kept once
_GROUPS = [["accuracy"], ["precision_macro", "recall_macro", "f1_macro"], ["auroc_macro"]]


def build_metrics(task: str, num_outputs: int, *, use_auroc: bool = True) -> MetricCollection:
    """The metrics of `task` by their bare names, without the loss.

    Updated with (predictions, targets): class probabilities (rows, classes), P(1) (rows,) for binary, probabilities
    (rows, labels), or values (rows,); targets int64 or, for regression, float. Accuracy is the share of rows that are
    right (all labels of a row, for multilabel). Macro means are over classes; for binary over both. A class that
    neither occurs nor is predicted does not count; AUROC counts the classes that have rows in and outside of them.
    """
    kind = task_of(task)
    if kind.is_values:
        values: dict[str, Any] = {"mae": MeanAbsoluteError(), "rmse": MeanSquaredError(squared=False), "r2": _R2()}
        return MetricCollection(values, compute_groups=False)
    if not (kind.is_classes or kind.is_labels):
        return MetricCollection([])
    metrics = _decisions(kind.num_columns(num_outputs), of_labels=kind.is_labels)
    if not use_auroc:
        del metrics["auroc_macro"]
    groups = [group for group in _GROUPS if group[0] in metrics]
    return MetricCollection(dict(metrics), compute_groups=groups)


def update_metrics(metrics: MetricCollection, predictions: Tensor, targets: Tensor, task: str) -> None:
    """Add rows to a collection of `build_metrics`."""
    kind = task_of(task)
    if kind.is_classes and kind.is_flat:
        predictions = torch.stack((1.0 - predictions, predictions), dim=1)
    if not kind.is_values:
        targets = targets.long()
    metrics.update(predictions, targets)


def compute_metrics(metrics: MetricCollection) -> dict[str, float]:
    """Read all metrics in one transfer and start anew; NaN where a metric is not defined on these rows."""
    with warnings.catch_warnings():
        # rows without some class are told by the value; R2 of fewer than two rows is not defined
        warnings.filterwarnings("ignore", module="torchmetrics")
        values = metrics.compute()
    metrics.reset()
    numbers = torch.stack([value.detach().to(torch.float64).reshape(()) for value in values.values()]).tolist()
    return dict(zip(values, numbers, strict=True))


class EpochMetrics:
    """Loss and metrics of one pass over rows; nothing is read from the device before `compute`."""

    def __init__(self, task: str, num_outputs: int, *, use_auroc: bool) -> None:
        self._task = task
        self._metrics = build_metrics(task, num_outputs, use_auroc=use_auroc)
        self._order = [name for name in task_of(task).metrics if name == "loss" or name in self._metrics]
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._num_waiting = 0
        self._is_double = False
        self._loss_sum: Tensor | None = None
        self._num_rows = 0

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Keep one batch: its mean loss, its raw outputs and its targets as metrics take them."""
        self._waiting.append((loss.detach(), outputs.detach(), targets))
        self._num_waiting += len(targets)
        if self._num_waiting >= ROWS_PER_UPDATE:
            self._flush()

    def compute(self) -> dict[str, float]:
        """Mean loss over rows and the metrics, and an empty state for the next pass."""
        self._flush()
        if self._loss_sum is None:
            return {}
        loss_sum, num_rows = over_ranks(self._loss_sum, self._num_rows)
        numbers = {
            "loss": loss_sum / num_rows,
            **(compute_metrics(self._metrics) if len(self._metrics) else {}),
        }
        self.reset()
        return {name: numbers[name] for name in self._order}

    def reset(self) -> None:
        """Forget all rows."""
        self._waiting, self._num_waiting = [], 0
        self._metrics.reset()
        self._loss_sum, self._num_rows = None, 0

    def _flush(self) -> None:
        if not self._waiting:
            return
        batches = list(zip(*self._waiting, strict=True))
        losses, outputs, targets = torch.stack(batches[0]).double(), torch.cat(batches[1]), torch.cat(batches[2])
        counts = [len(batch) for batch in batches[2]]
        loss_sum = losses @ torch.tensor(counts, dtype=torch.float64, device=losses.device)
        self._loss_sum = loss_sum if self._loss_sum is None else self._loss_sum + loss_sum
        self._num_rows += self._num_waiting
        self._waiting, self._num_waiting = [], 0
        if not len(self._metrics):
            return
        if outputs.dtype == torch.float64 and not self._is_double:
            self._metrics.set_dtype(torch.float64)  # before any row: it would turn kept targets into floats, too
            self._is_double = True
        if self._metrics_device != outputs.device:
            self._metrics.to(outputs.device)
        update_metrics(self._metrics, as_predictions(outputs, self._task), targets, self._task)

    @property
    def _metrics_device(self) -> torch.device:
        return next(iter(self._metrics.values())).device


def over_ranks(loss_sum: Tensor, num_rows: int) -> tuple[float, int]:
    """The sums of all processes of a run; torchmetrics adds up its states by itself."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return float(loss_sum), num_rows
    both = torch.stack([loss_sum, torch.tensor(float(num_rows)).to(loss_sum)])
    distributed.all_reduce(both)
    return float(both[0]), round(float(both[1]))


def weight_of_share(num_rows: int, device: torch.device) -> Tensor | None:
    """The factor that makes the mean over processes of their mean losses that over all rows; None for one process.

    Processes that share a batch may have one row more or less than others: n_own * processes / n.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    total = torch.tensor(float(num_rows), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
    own = total.clone()
    distributed.all_reduce(total)
    return own * distributed.get_world_size() / total


def as_predictions(outputs: Tensor, task: str) -> Tensor:
    """Probabilities from logits in float32 or better; values of a regression as they are."""
    predictions: Tensor = task_of(task).probabilities(outputs if outputs.dtype == torch.float64 else outputs.float())
    return predictions


class _R2(Metric):
    """R2: 0 or, for exact predictions, 1 where all targets are equal, as in scikit-learn; NaN for fewer than two rows.

    Targets are summed from a centre of each update's own: a plain float32 sum of squares, as torchmetrics takes it,
    has nothing left of the spread of targets that are large and close together.
    """

    parts: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("parts", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        centre = targets.mean()
        centred = targets - centre
        sums = [centred.sum(), centred.square().sum(), (predictions - targets).square().sum()]
        self.parts.append(torch.stack([torch.full_like(centre, len(targets)), centre, *sums])[None])

    def compute(self) -> Tensor:
        rows, centres, sums, squares, residuals = _joined(self.parts).cpu().double().T
        mean = (rows * centres + sums).sum() / rows.sum()
        away = centres - mean
        total, residual = (squares + 2 * away * sums + rows * away.square()).sum(), residuals.sum()
        if rows.sum() < 2:
            return torch.full((), torch.nan, device=self.device)
        has_spread = total > rows.sum() * (mean * torch.finfo(torch.float32).eps).square()
        value: Tensor = 1.0 - residual / total if has_spread else (residual == 0).double()
        return value.to(self.device, torch.float32)


class _PresentClassAUROC(MulticlassAUROC):
    """Macro AUROC over the classes that have rows in and outside of them (torchmetrics counts absent ones as 0)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, average="none", validate_args=False)

    def compute(self) -> Any:
        targets = _joined(self.target)
        counts = torch.bincount(targets, minlength=self.num_classes)
        return _mean_over(super().compute(), (counts > 0) & (counts < len(targets)))


class _PresentLabelAUROC(MultilabelAUROC):
    """Macro AUROC over the labels that some rows have and some have not."""

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels, average="none", validate_args=False)

    def compute(self) -> Any:
        targets = _joined(self.target)
        counts = targets.sum(dim=0)
        return _mean_over(super().compute().reshape(-1), (counts > 0) & (counts < len(targets)))


def _joined(state: Any) -> Tensor:
    return state if isinstance(state, Tensor) else torch.cat(list(state))


def _mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    return values[chosen].mean() if bool(chosen.any()) else torch.full((), torch.nan, device=values.device)


def _decisions(num_columns: int, *, of_labels: bool) -> dict[str, Metric]:
    """The metrics of classes or labels, by name."""
    shape: dict[str, Any] = {"task": "multilabel", "num_labels": num_columns, "validate_args": False}
    if not of_labels:
        shape = {"task": "multiclass", "num_classes": num_columns, "validate_args": False}
    return {
        "accuracy": ExactMatch(**shape) if of_labels else Accuracy(**shape, average="micro"),
        "precision_macro": Precision(**shape, average="macro"),
        "recall_macro": Recall(**shape, average="macro"),
        "f1_macro": F1Score(**shape, average="macro"),
        "auroc_macro": _PresentLabelAUROC(num_columns) if of_labels else _PresentClassAUROC(num_columns),
    }
