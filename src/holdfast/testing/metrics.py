"""The contract of metrics."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

NUM_ROWS, NUM_CLASSES = 60, 3


def check_metric(metric: Metric, *, task: str, mode: Literal["min", "max"]) -> None:
    """Check that a metric is one number that does not depend on batches or order, and has the best value where it must.

    Args:
        metric: Of three classes, of two for a binary task, of three labels, or of values.
        task: "multiclass", "binary", "multilabel" or "regression".
        mode: Whether less or more of it is better.
    """
    right, targets = _right_predictions(task)
    noise = 3.0 * torch.randn(right.shape, generator=torch.Generator().manual_seed(1))
    predictions = right + noise if task == "regression" else _probabilities(right.log().clamp(min=-3.0) + noise, task)
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
    if task in ("multiclass", "binary"):
        targets = torch.arange(NUM_ROWS) % (2 if task == "binary" else NUM_CLASSES)
        return torch.nn.functional.one_hot(targets).float(), targets
    generator = torch.Generator().manual_seed(0)
    if task == "regression":
        targets = torch.randn(NUM_ROWS, generator=generator)
        return targets.clone(), targets
    targets = torch.randint(2, (NUM_ROWS, NUM_CLASSES), generator=generator)
    return targets.float(), targets


def _probabilities(logits: Tensor, task: str) -> Tensor:
    return logits.sigmoid() if task == "multilabel" else logits.softmax(dim=1)
