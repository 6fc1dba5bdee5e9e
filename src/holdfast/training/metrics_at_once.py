"""The usual metrics of several models for as many rows, at once: torchmetrics takes long for few rows of one model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from holdfast.core.tasks import Task
from holdfast.training.areas import are_probabilities, areas_under_roc, have_areas, truth

COMPUTED_AT_ONCE = {"accuracy", "precision_macro", "recall_macro", "f1_macro", "auroc_macro"}
MOST_AT_ONCE = 2**24  # predictions whose metrics are computed at once: 64 MB


def have_all_at_once(names: Sequence[str], task: Task) -> bool:
    """Tell whether metrics of a task are all among those that can be computed at once."""
    return (task.is_classes or task.is_labels) and COMPUTED_AT_ONCE.issuperset(names)


def compute_at_once(
    names: Sequence[str], task: Task, predictions: Tensor, targets: Tensor
) -> list[dict[str, list[float]]]:
    """The metrics of each of several models, as of `compute_by_target`, to the bits of torchmetrics.

    There are none where torchmetrics has rules of its own: a class has no area, or a prediction is no probability; and
    where there is too much to be held at once.

    Args:
        names: Some of `COMPUTED_AT_ONCE`.
        task: Of classes or labels.
        predictions: Probabilities (models, rows, columns).
        targets: Classes (models, rows), or labels (models, rows, columns).
    """
    if predictions.numel() > MOST_AT_ONCE or not are_probabilities(predictions):
        return []
    is_in = truth(predictions, targets)
    if "auroc_macro" in names and not have_areas(is_in).all():
        return []
    guesses = predictions > 0.5 if task.is_labels else truth(predictions, predictions.argmax(dim=2))
    is_right = (guesses == is_in).all(dim=2)
    hits, guessed, true = (each.sum(dim=1).to(predictions.dtype) for each in (guesses & is_in, guesses, is_in))
    counts = torch.ones_like(hits) if task.is_labels else (guessed + true > 0).to(hits.dtype)

    def macro(top: Tensor, bottom: Tensor) -> Tensor:
        ratio = torch.where(bottom > 0, top / bottom, 0.0)
        return (counts * ratio / counts.sum(dim=1, keepdim=True)).sum(dim=1)

    def auroc() -> Tensor:
        scores, are_in = (each.mT.flatten(0, 1) for each in (predictions, is_in))
        areas = areas_under_roc(scores, are_in).reshape(len(predictions), -1)
        return torch.stack([each.mean() for each in areas])

    compute = {
        "accuracy": lambda: is_right.sum(dim=1).to(hits.dtype) / is_right.shape[1],
        "precision_macro": lambda: macro(hits, guessed),
        "recall_macro": lambda: macro(hits, true),
        "f1_macro": lambda: macro(2 * hits, guessed + true),
        "auroc_macro": auroc,
    }
    values = [compute[name]().double().tolist() for name in names]
    return [{name: [value] for name, value in zip(names, own, strict=True)} for own in zip(*values, strict=True)]
