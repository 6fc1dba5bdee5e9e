"""Val metrics of predictions, whoever has made them: the same for a run, an ensemble and a frozen selection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.tasks import task_of


def score(
    predictions: NDArray[np.float32], y: NDArray[Any], *, task: str, num_outputs: int, target_std: float
) -> dict[str, float]:
    """The metrics of predictions, by bare name.

    The loss is the negative log likelihood of the probabilities or, in a regression, the squared error in units of the
    train targets' variance: what `loss=auto` minimises. Runs with another loss have their own.
    """
    import torch

    from holdfast.training.metrics import build_metrics, compute_metrics, update_metrics

    metrics = build_metrics(task, num_outputs)
    update_metrics(metrics, torch.from_numpy(predictions), torch.from_numpy(np.array(y)), task)
    losses = task_of(task).row_losses(predictions, y, target_std)
    values = {"loss": float(losses.mean()), **compute_metrics(metrics)}
    return {name: values[name] for name in task_of(task).metrics}


def scorer(
    metric: str, y: NDArray[Any], *, task: str, num_outputs: int, target_std: float
) -> Callable[[NDArray[np.float32]], float]:
    """A function that gives one metric of predictions for these rows, much faster than all of them."""
    import torch
    from torchmetrics import MetricCollection

    from holdfast.training.metrics import build_metrics, compute_metrics, update_metrics

    if metric == "loss":
        return lambda predictions: float(task_of(task).row_losses(predictions, y, target_std).mean())
    metrics = MetricCollection({metric: build_metrics(task, num_outputs)[metric]})
    targets = torch.from_numpy(np.array(y))

    def value_of(predictions: NDArray[np.float32]) -> float:
        update_metrics(metrics, torch.from_numpy(predictions), targets, task)
        return compute_metrics(metrics)[metric]

    return value_of
