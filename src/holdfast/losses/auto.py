"""The usual loss of each task."""

from __future__ import annotations

from holdfast.losses.binary_cross_entropy import binary_cross_entropy
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.losses.mse import mse
from holdfast.losses.protocol import ClassWeights, Loss


def auto(*, task: str, class_weights: ClassWeights = None) -> Loss:
    """The usual loss of `task`: the negative log-likelihood of classes, labels, or a normal distribution."""
    if task == "multiclass":
        return cross_entropy(class_weights=class_weights)
    if task == "regression":
        return mse()
    return binary_cross_entropy(class_weights=class_weights)
