"""Logistic loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from holdfast.losses.protocol import ClassWeights, Loss, as_tensor, check_task


def binary_cross_entropy(*, task: str = "binary", class_weights: ClassWeights = None) -> Loss:
    """Logistic loss on each logit; two class weights are those of the targets 0 and 1.

    Raises:
        InputError: The task is neither binary nor multilabel.
    """
    check_task("binary_cross_entropy", task, ("binary", "multilabel"))
    given = as_tensor(class_weights)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if given is None else given.to(outputs)[targets.long()]
        return functional.binary_cross_entropy_with_logits(outputs, targets, weight=weight)

    return loss
