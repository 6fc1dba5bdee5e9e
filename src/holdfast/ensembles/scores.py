"""Val metrics of predictions, whoever has made them: the same for a run, an ensemble and a frozen selection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.metrics import in_order, metrics_of
from holdfast.core.tasks import PerTarget, task_of
from holdfast.training.metric_names import metric_and_target, value_of_target


def score(
    predictions: NDArray[np.float32],
    y: NDArray[Any],
    *,
    task: str,
    num_outputs: int,
    target_std: PerTarget,
    names: Sequence[str] | None = None,
    own: Mapping[str, Mapping[str, Any]] | None = None,
    target_names: Sequence[str] = (),
) -> dict[str, float]:
    """The metrics of predictions, by bare name: those of every epoch of a run, or those that are named.

    A name such as rmse/price is the metric of one of several `target_names`. The user's own metrics are built from
    `own`, entries of the config: that runs their code.

    The loss is the negative log likelihood of the probabilities or, in a regression, the squared error in units of the
    train targets' variance: what `loss=auto` minimises. Runs with another loss have their own.
    """
    options: dict[str, Any] = {"task": task, "num_outputs": num_outputs, "target_std": target_std, "names": names}
    return score_each(predictions[None], y, **options, own=own, target_names=target_names)[0]


def score_each(
    predictions: NDArray[np.float32],
    y: NDArray[Any],
    *,
    task: str,
    num_outputs: int,
    target_std: PerTarget,
    names: Sequence[str] | None = None,
    own: Mapping[str, Mapping[str, Any]] | None = None,
    target_names: Sequence[str] = (),
) -> list[dict[str, float]]:
    """`score` of the predictions of several models for the same rows, much faster than one by one."""
    of_one = [name for name in names or () if metric_and_target(name)[1] is not None]
    of_all = None if names is None else [name for name in names if name not in of_one]
    scores = []
    by_targets = score_by_target(predictions, y, task=task, num_outputs=num_outputs, names=of_all, own=own)
    for each, by_target in zip(predictions, by_targets, strict=True):
        losses = task_of(task).row_losses(each, y, target_std)
        values = {"loss": float(losses.mean()), **{name: fmean(numbers) for name, numbers in by_target.items()}}
        values |= {name: value_of_target(by_target, name, target_names) for name in of_one}
        scores.append({name: values[name] for name in in_order(values)})
    return scores


def score_by_target(
    predictions: NDArray[np.float32],
    y: NDArray[Any],
    *,
    task: str,
    num_outputs: int,
    names: Sequence[str] | None = None,
    own: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, list[float]]]:
    """The metrics of `score_each` but for the loss: a number for each of several targets, one for other tasks."""
    import torch

    from holdfast.training.metrics import build_metrics, compute_by_target, of_both_classes, update_metrics
    from holdfast.training.metrics_at_once import compute_at_once, have_all_at_once

    kind, models, targets = task_of(task), torch.from_numpy(predictions), torch.from_numpy(np.array(y))
    chosen = metrics_of(kind, asked_for=False) if names is None else names
    ordered = in_order([name for name in chosen if name != "loss"])
    if predictions.dtype == np.float32 and have_all_at_once(ordered, kind):
        for_all = targets.long().expand(len(models), *targets.shape)
        if values := compute_at_once(ordered, kind, of_both_classes(models, kind), for_all):
            return values
    metrics, values = build_metrics(task, num_outputs, ordered, own), []
    for each in models:
        update_metrics(metrics, each, targets, task)
        values.append(compute_by_target(metrics))
    return values


def scorer(
    metric: str,
    y: NDArray[Any],
    *,
    task: str,
    num_outputs: int,
    target_std: PerTarget,
    own: Mapping[str, Mapping[str, Any]] | None = None,
    target_names: Sequence[str] = (),
) -> Callable[[NDArray[np.float32]], float]:
    """A function that gives one metric of predictions for these rows, much faster than all of them.

    `metric` is a name as `score` takes them.
    """
    import torch

    from holdfast.training.metrics import build_metrics, compute_by_target, update_metrics

    if metric == "loss":
        return lambda predictions: float(task_of(task).row_losses(predictions, y, target_std).mean())
    name, target = metric_and_target(metric)
    metrics = build_metrics(task, num_outputs, [name], own)
    targets = torch.from_numpy(np.array(y))

    def value_of(predictions: NDArray[np.float32]) -> float:
        update_metrics(metrics, torch.from_numpy(predictions), targets, task)
        by_target = compute_by_target(metrics)
        return fmean(by_target[name]) if target is None else value_of_target(by_target, metric, target_names)

    return value_of
