"""Losses on logits, each with the reduction "mean over rows".

Every option is called `loss(*, class_weights=None)` and gives a function of (outputs, targets). Targets are int64
(rows,) for classes; otherwise they have the shape and dtype of the outputs: 0/1 for binary (rows,) and multilabel
(rows, labels), standardised values (rows,) for regression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.core.errors import InputError

Loss = Callable[[Tensor, Tensor], Tensor]


class LossFactory(Protocol):
    """A loss option."""

    def __call__(self, *, class_weights: Tensor | None = None) -> Loss:
        """Build the loss; `class_weights` has one weight a class, for losses that know classes."""
        ...


def cross_entropy(*, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> Loss:
    """Softmax cross-entropy, -log softmax(z)_y; smoothing as in Szegedy et al. 2016, section 7."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if class_weights is None else class_weights.to(outputs)
        return functional.cross_entropy(outputs, targets, weight=weight, label_smoothing=label_smoothing)

    return loss


def binary_cross_entropy(*, class_weights: Tensor | None = None) -> Loss:
    """Logistic loss on each logit; two class weights are those of the targets 0 and 1."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if class_weights is None else class_weights.to(outputs)[targets.long()]
        return functional.binary_cross_entropy_with_logits(outputs, targets, weight=weight)

    return loss


def mse(*, class_weights: Tensor | None = None) -> Loss:
    """Mean of (output - target) ** 2, in units of the standardised target."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.shape != targets.shape:
            raise ValueError(f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} differ in shape")
        return functional.mse_loss(outputs, targets)

    return loss


BY_TASK: dict[str, LossFactory] = {
    "multiclass": cross_entropy,
    "binary": binary_cross_entropy,
    "multilabel": binary_cross_entropy,
    "regression": mse,
}


def check_loss(loss: Loss, task: str, num_outputs: int) -> None:
    """Try `loss` on two made-up rows of the task.

    Raises:
        InputError: It does not take them, or its answer is no single number.
    """
    shape = (2, num_outputs) if task in ("multiclass", "multilabel") else (2,)
    outputs = torch.zeros(shape)
    targets = torch.zeros(2, dtype=torch.int64) if task == "multiclass" else torch.zeros(shape)
    try:
        value = loss(outputs, targets)
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        raise InputError("loss", f"does not fit a {task} task ({error})", next="loss=auto chooses by the task") from None
    if value.numel() != 1:
        raise InputError("loss", f"gives {tuple(value.shape)} numbers a batch", allowed="one number: a mean over rows")
