"""Metrics of an epoch by torchmetrics, accumulated on the device and read once.

An update of torchmetrics costs more than a step of a small model, so the outputs of many batches are kept and handed
over together.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, distributed
from torchmetrics import CatMetric, MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MulticlassRecall
from torchmetrics.wrappers import MultioutputWrapper

from holdfast.config.resolve import build_option, named, resolve_target
from holdfast.core.errors import InputError, blamed, did_you_mean
from holdfast.core.metrics import METRICS, in_order, metrics_of
from holdfast.core.tasks import SMALLEST_P, Task, task_of
from holdfast.training.areas import joined, mean_over

ROWS_PER_UPDATE = 8192

Own = Mapping[str, Mapping[str, Any]]


def build_metrics(
    task: str, num_outputs: int, names: Sequence[str] | None = None, own: Own | None = None
) -> MetricCollection:
    """Metrics of `task` by their bare names; the loss is none of them. Without `names`: those of every epoch.

    Updated with (predictions, targets): class probabilities (rows, classes), P(1) (rows,) for binary, probabilities
    (rows, labels), or values (rows,) or (rows, targets); targets int64 or, for values, float. Accuracy is the share of
    rows that are right (all labels of a row, for multilabel). Macro means are over classes; for binary over both. A
    class that neither occurs nor is predicted does not count; AUROC counts the classes that have rows in and outside of
    them. A metric of several targets computes the value of each by itself. `own` are entries of the config with the
    classes of metrics that are the user's own.

    Raises:
        InputError: The task has no such metric, or one of the user's own does not fit it.
    """
    kind = task_of(task)
    chosen = [name for name in (metrics_of(kind, asked_for=False) if names is None else names) if name != "loss"]
    facts = _facts(kind, num_outputs)
    metrics = {name: _build_metric(name, kind, facts, (own or {}).get(name)) for name in in_order(chosen)}
    if kind.is_multitarget:
        metrics = {name: MultioutputWrapper(metric, num_outputs, remove_nans=False) for name, metric in metrics.items()}
    # states of torchmetrics that are the same are kept once
    groups: dict[str, list[str]] = {}
    for name in metrics:
        state = METRICS[name].state if name in METRICS else ""
        groups.setdefault(state or name, []).append(name)
    return MetricCollection(dict(metrics), compute_groups=list(groups.values())) if metrics else MetricCollection([])


def _facts(kind: Task, num_outputs: int) -> dict[str, Any]:
    """The facts of the task that a metric is told, where it names it; two classes are several classes here."""
    if kind.is_values or kind.is_rows:
        return {}
    columns = kind.num_columns(num_outputs)
    if kind.is_labels:
        return {"task": "multilabel", "num_labels": columns, "validate_args": False}
    return {"task": "multiclass", "num_classes": columns, "validate_args": False}


def _build_metric(name: str, kind: Task, facts: Mapping[str, Any], node: Mapping[str, Any] | None) -> Metric:
    if node:
        return _own_metric(name, kind, facts, node)
    entry = METRICS.get(name)
    if entry is None or kind.kind not in entry.targets:
        known = metrics_of(kind)
        hint = did_you_mean(name, known)
        raise InputError(f"metrics.{name}", f"is no metric of a {kind} task", ", ".join(known[1:]), hint)
    symbol = resolve_target(entry.targets[kind.kind])
    metric: Metric = symbol(**named(symbol, {**facts, **entry.arguments}))
    return metric


def _own_metric(name: str, kind: Task, facts: Mapping[str, Any], node: Mapping[str, Any]) -> Metric:
    """Build a metric of the user's own, and refuse it where it does not take made-up rows, or gives several numbers."""
    where, columns = f"metrics.{name}", facts.get("num_classes") or facts.get("num_labels") or 1
    shape = (4,) if kind.is_values else (4, columns)
    predictions = torch.full(shape, 1.0 / columns)
    targets = torch.arange(4) % columns if kind.is_classes else torch.arange(4 * columns).reshape(shape) % 2
    problem = f"does not take predictions {shape} and targets {tuple(targets.shape)} of a {kind} task"
    with blamed(where, problem):
        option = build_option(node, "metrics")
        metric = option(**named(option, facts))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few rows, and not of all classes
            metric.update(predictions, targets.float() if kind.is_values else targets)
            value = metric.compute()
        metric.reset()
    if not isinstance(metric, Metric):
        raise InputError(where, f"is a {type(metric).__name__}", allowed="a class of torchmetrics, or one like them")
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape_words = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise InputError(where, f"gives {shape_words}", allowed="a tensor of one number")
    return metric


def update_metrics(metrics: MetricCollection, predictions: Tensor, targets: Tensor, task: str) -> None:
    """Add rows to a collection of `build_metrics`."""
    kind = task_of(task)
    if not kind.is_values:
        targets = targets.long()
    metrics.update(of_both_classes(predictions, kind), targets)


def of_both_classes(predictions: Tensor, task: Task) -> Tensor:
    """Probabilities (..., 2) where predictions are P(1) of two classes; others as they are."""
    return torch.stack((1.0 - predictions, predictions), dim=-1) if task.is_classes and task.is_flat else predictions


def compute_metrics(metrics: MetricCollection) -> dict[str, float]:
    """Read all metrics and start anew, as `compute_by_target` does; of several targets each is the mean."""
    return {name: fmean(numbers) for name, numbers in compute_by_target(metrics).items()}


def compute_by_target(metrics: MetricCollection) -> dict[str, list[float]]:
    """Read all metrics in one transfer and start anew: a number for each of several targets, one for other tasks."""
    with warnings.catch_warnings():
        # rows without some class are told by the value; R2 of fewer than two rows is not defined
        warnings.filterwarnings("ignore", module="torchmetrics")
        values = metrics.compute()
    metrics.reset()
    numbers = torch.stack([value.detach().to(torch.float64).reshape(-1) for value in values.values()]).tolist()
    by_target = dict(zip(values, numbers, strict=True))
    return {name: by_target[name] for name in in_order(by_target)}


class EpochMetrics:
    """Loss and metrics of one pass over rows; nothing is read from the device before `compute`.

    Attributes:
        names: The metrics beside the loss.
        by_target: The metrics of the last pass that was computed, each a number for every one of several targets.
    """

    def __init__(self, task: str, num_outputs: int, names: Sequence[str] | None = None, own: Own | None = None) -> None:
        """Begin a pass; the arguments are those of `build_metrics`."""
        self._task = task
        chosen = metrics_of(task, asked_for=False) if names is None else names
        self.names = in_order([name for name in chosen if name != "loss"])
        self._build = partial(build_metrics, task, num_outputs, self.names, own)
        if own:
            _ = self._metrics  # a mistake in one is told before training
        self.by_target: dict[str, list[float]] = {}
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._num_waiting = 0
        self._is_double = False
        self._loss_sum: Tensor | None = None
        self._num_rows = 0
        self._computed: dict[str, list[float]] | None = None

    @cached_property
    def _metrics(self) -> MetricCollection:
        """Those of torchmetrics, built where they are needed: that takes as long as building a small network."""
        return self._build()

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Keep one batch: its mean loss, its raw outputs and its targets as metrics take them."""
        self._waiting.append((loss.detach(), outputs.detach(), targets))
        self._num_waiting += len(targets)
        if self._num_waiting >= ROWS_PER_UPDATE:
            self._flush()

    def put(self, loss_sum: Tensor, num_rows: int, by_target: dict[str, list[float]]) -> None:
        """Take a whole pass whose metrics are already computed, as of `by_target`; the loss is a sum over rows."""
        self._loss_sum, self._num_rows, self._computed = loss_sum, num_rows, by_target

    def compute(self) -> dict[str, float]:
        """Mean loss over rows and the metrics, and an empty state for the next pass."""
        self._flush()
        if self._loss_sum is None:
            return {}
        loss_sum, num_rows = over_ranks(self._loss_sum, self._num_rows)
        if self._computed is None:
            self._computed = compute_by_target(self._metrics) if self.names else {}
        self.by_target = self._computed
        numbers = {"loss": loss_sum / num_rows, **{name: fmean(each) for name, each in self.by_target.items()}}
        self._loss_sum, self._num_rows, self._computed = None, 0, None
        return {name: numbers[name] for name in in_order(numbers)}

    def reset(self) -> None:
        """Forget all rows."""
        self._waiting, self._num_waiting = [], 0
        self._metrics.reset()
        self._loss_sum, self._num_rows, self._computed = None, 0, None

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
        if not self.names:
            return
        if outputs.dtype == torch.float64 and not self._is_double:
            for metric in self._metrics.modules():
                if isinstance(metric, Metric):
                    metric.set_dtype(torch.float64)  # before any row: it would turn kept targets into floats, too
            self._is_double = True
        if next(iter(self._metrics.values(copy_state=False))).device != outputs.device:
            self._metrics.to(outputs.device)
        update_metrics(self._metrics, as_predictions(outputs, self._task), targets, self._task)


def over_ranks(loss_sum: Tensor, num_rows: int) -> tuple[float, int]:
    """The sums of all processes of a run; torchmetrics adds up its states by itself."""
    if not _is_shared():
        return float(loss_sum), num_rows
    both = torch.stack([loss_sum, torch.tensor(float(num_rows)).to(loss_sum)])
    distributed.all_reduce(both)
    return float(both[0]), round(float(both[1]))


def weight_of_share(num_rows: int, device: torch.device) -> Tensor | None:
    """The factor that makes the mean over processes of their mean losses that over all rows; None for one process.

    Processes that share a batch may have one row more or less than others: n_own * processes / n.
    """
    if not _is_shared():
        return None
    total = torch.tensor(float(num_rows), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
    own = total.clone()
    distributed.all_reduce(total)
    return own * distributed.get_world_size() / total


def _is_shared() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def as_predictions(outputs: Tensor, task: str) -> Tensor:
    """Probabilities from logits in float32 or better; values of a regression as they are."""
    predictions: Tensor = task_of(task).probabilities(outputs if outputs.dtype == torch.float64 else outputs.float())
    return predictions


class R2(Metric):
    """R2: 0 or, for exact predictions, 1 where all targets are equal, as in scikit-learn; NaN for fewer than two rows.

    Targets are summed from a centre of each update's own: a plain float32 sum of squares, as torchmetrics takes it,
    has nothing left of the spread of targets that are large and close together.
    """

    parts: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("parts", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Add rows."""
        centre = targets.mean()
        centred = targets - centre
        sums = [centred.sum(), centred.square().sum(), (predictions - targets).square().sum()]
        self.parts.append(torch.stack([torch.full_like(centre, len(targets)), centre, *sums])[None])

    def compute(self) -> Tensor:
        """Give the value of all rows."""
        rows, centres, sums, squares, residuals = joined(self.parts).cpu().double().T
        mean = (rows * centres + sums).sum() / rows.sum()
        away = centres - mean
        total, residual = (squares + 2 * away * sums + rows * away.square()).sum(), residuals.sum()
        if rows.sum() < 2:
            return torch.full((), torch.nan, device=self.device)
        has_spread = total > rows.sum() * (mean * torch.finfo(torch.float32).eps).square()
        value: Tensor = 1.0 - residual / total if has_spread else (residual == 0).double()
        return value.to(self.device, torch.float32)


class BalancedAccuracy(MulticlassRecall):
    """The mean recall over the classes that have rows (torchmetrics counts those that are only guessed as 0)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, average="none", validate_args=False)

    def compute(self) -> Any:
        """Give the value of all rows."""
        hits, _, _, missed = self._final_state()
        return mean_over(super().compute(), (hits + missed).reshape(-1) > 0)


class LogLoss(MeanMetric):
    """The mean over rows of -log p of what is true, p at least 1e-12; of labels, of the mean over them."""

    def __init__(self) -> None:
        super().__init__(nan_strategy="disable")

    def update(self, predictions: Tensor, targets: Tensor) -> None:  # type: ignore[override]
        """Add rows."""
        if targets.ndim == 1:
            p = predictions.gather(1, targets[:, None])
        else:
            p = torch.where(targets > 0, predictions, 1.0 - predictions)
        super().update(-p.clamp(SMALLEST_P, 1.0).log().mean(dim=1))


class AbsoluteErrorQuantile(CatMetric):
    """The absolute error that a share of the rows does not exceed, between two rows linearly, as numpy has it."""

    def __init__(self, share: float) -> None:
        super().__init__(nan_strategy="disable")
        self.share = share

    def update(self, predictions: Tensor, targets: Tensor) -> None:  # type: ignore[override]
        """Add rows."""
        super().update((predictions - targets).abs())

    def compute(self) -> Tensor:
        """Give the value of all rows."""
        errors = joined(super().compute()).sort().values  # torch's own quantile takes 16 million numbers at most
        place = self.share * (len(errors) - 1)
        low, high = errors[int(place)], errors[min(int(place) + 1, len(errors) - 1)]
        return torch.lerp(low, high, place - int(place))
