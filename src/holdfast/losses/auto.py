"""The usual loss of each task."""

from __future__ import annotations

from holdfast.core.tasks import task_of
from holdfast.losses.binary_cross_entropy import binary_cross_entropy
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.losses.mse import mse
from holdfast.losses.protocol import ClassWeights, Loss


def auto(*, task: str, class_weights: ClassWeights = None) -> Loss:
    """The usual loss of `task`: the negative log-likelihood of classes, labels, or a normal distribution."""
    if task_of(task).is_values:
        return mse()
    usual = {"cross_entropy": cross_entropy, "binary_cross_entropy": binary_cross_entropy}[task_of(task).usual_loss]
    return usual(class_weights=class_weights)
