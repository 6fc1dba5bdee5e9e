"""Val metrics of predictions, whoever has made them: the same for a run, an ensemble and a frozen selection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.training.names import NAMES


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
    if task == "regression":
        losses = np.square((predictions.astype(np.float64) - y) / target_std)
    else:
        losses = row_losses(predictions, y, task)
    values = {"loss": float(losses.mean()), **compute_metrics(metrics)}
    return {name: values[name] for name in NAMES[task]}


def row_losses(predictions: NDArray[Any], y: NDArray[Any], task: str) -> NDArray[np.float64]:
    """The negative log likelihood of every row, or the mean over its labels.

    Args:
        predictions: (n, classes) or (n, labels) probabilities, or (n,) P(1).
        y: (n,) or (n, labels) targets.
        task: "multiclass", "binary" or "multilabel".
    """
    p = np.clip(predictions.astype(np.float64), 1e-12, 1.0)
    if task == "multiclass":
        losses: NDArray[np.float64] = -np.log(p[np.arange(len(y)), y])
        return losses
    other = np.clip(1.0 - predictions.astype(np.float64), 1e-12, 1.0)
    losses = -np.where(y > 0, np.log(p), np.log(other)).reshape(len(y), -1)
    return np.asarray(losses.mean(axis=1))
