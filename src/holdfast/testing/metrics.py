"""The contract of metrics."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from holdfast.core.tasks import task_of
from holdfast.testing.losses import made_up_targets

NUM_ROWS, NUM_CLASSES = 60, 3


def check_metric(metric: Metric, *, task: str, mode: Literal["min", "max"]) -> None:
    """Check that a metric is one number that does not depend on batches or order, and has the best value where it must.

    It is one of three classes, of two for a binary task, of three labels, or of values.
    """
    right, targets = _right_predictions(task)
    predictions = _noisy(right, task)
    value = _value(metric, [(predictions, targets)])
    again = _value(metric, [(predictions, targets)])
    assert torch.equal(again, value), "after reset a metric must have forgotten all rows"
    order = torch.randperm(NUM_ROWS, generator=torch.Generator().manual_seed(2))
    batches = [(predictions[rows], targets[rows]) for rows in (order[:1], order[1:8], order[8:])]
    in_batches = _value(metric, batches)
    assert torch.allclose(in_batches, value, atol=1e-6), "a metric must not depend on batches and the order of rows"
    best = _value(metric, [(right, targets)])
    is_better = best < value if mode == "min" else best > value
    assert is_better, f"predictions that are right must be better: they have {float(best):g}, others {float(value):g}"


def _value(metric: Metric, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
    metric.reset()
    for predictions, targets in batches:
        metric.update(predictions, targets)
    value: Tensor = metric.compute()
    assert value.numel() == 1, f"a metric must be one number, and has the shape {tuple(value.shape)}"
    assert value.isfinite(), f"the metric of rows of all classes must be finite, and is {float(value)}"
    return value.detach().clone()


def _right_predictions(task: str) -> tuple[Tensor, Tensor]:
    """Probabilities or values that are right, and the targets."""
    targets = made_up_targets(task, NUM_ROWS, NUM_CLASSES)
    right = torch.nn.functional.one_hot(targets) if task_of(task).is_classes else targets
    return right.float().clone(), targets


def _noisy(right: Tensor, task: str) -> Tensor:
    noise = 3.0 * torch.randn(right.shape, generator=torch.Generator().manual_seed(1))
    if task_of(task).is_values:
        return right + noise
    logits = right.log().clamp(min=-3.0) + noise
    return logits.softmax(dim=1) if task_of(task).is_classes else logits.sigmoid()
