"""Val metrics of predictions, whoever has made them: the same for a run, an ensemble and a frozen selection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.metrics import in_order
from holdfast.core.tasks import task_of


def score(
    predictions: NDArray[np.float32],
    y: NDArray[Any],
    *,
    task: str,
    num_outputs: int,
    target_std: float,
    names: Sequence[str] | None = None,
    own: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, float]:
    """The metrics of predictions, by bare name: those of every epoch of a run, or those that are named.

    The user's own among them are built from `own`, entries of the config: that runs their code.

    The loss is the negative log likelihood of the probabilities or, in a regression, the squared error in units of the
    train targets' variance: what `loss=auto` minimises. Runs with another loss have their own.
    """
    import torch

    from holdfast.training.metrics import build_metrics, compute_metrics, update_metrics

    metrics = build_metrics(task, num_outputs, names, own)
    update_metrics(metrics, torch.from_numpy(predictions), torch.from_numpy(np.array(y)), task)
    losses = task_of(task).row_losses(predictions, y, target_std)
    values = {"loss": float(losses.mean()), **compute_metrics(metrics)}
    return {name: values[name] for name in in_order(values)}


def scorer(
    metric: str,
    y: NDArray[Any],
    *,
    task: str,
    num_outputs: int,
    target_std: float,
    own: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[NDArray[np.float32]], float]:
    """A function that gives one metric of predictions for these rows, much faster than all of them."""
    import torch

    from holdfast.training.metrics import build_metrics, compute_metrics, update_metrics

    if metric == "loss":
        return lambda predictions: float(task_of(task).row_losses(predictions, y, target_std).mean())
    metrics = build_metrics(task, num_outputs, [metric], own)
    targets = torch.from_numpy(np.array(y))

    def value_of(predictions: NDArray[np.float32]) -> float:
        update_metrics(metrics, torch.from_numpy(predictions), targets, task)
        return compute_metrics(metrics)[metric]

    return value_of
