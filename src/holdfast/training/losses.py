"""Losses on logits, each with the reduction "mean over rows".

Every option is called `loss(*, class_weights=None)` and gives a function of (outputs, targets); one that names the
argument `task` is handed the task as well. Targets are int64
(rows,) for classes; otherwise they have the shape and dtype of the outputs: 0/1 for binary (rows,) and multilabel
(rows, labels), standardised values (rows,) for regression.
"""

from __future__ import annotations

import inspect
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


def cross_entropy(
    *, task: str = "multiclass", class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Loss:
    """Softmax cross-entropy, -log softmax(z)_y; smoothing as in Szegedy et al. 2016, section 7.

    Raises:
        InputError: The task is not multiclass, or `label_smoothing` is outside of [0, 1].
    """
    _check_task("cross_entropy", task, ("multiclass",))
    if not 0.0 <= label_smoothing <= 1.0:
        raise InputError("loss.label_smoothing", f"is {label_smoothing}", allowed="0 <= label_smoothing <= 1")

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if class_weights is None else class_weights.to(outputs)
        return functional.cross_entropy(outputs, targets, weight=weight, label_smoothing=label_smoothing)

    return loss


def binary_cross_entropy(*, task: str = "binary", class_weights: Tensor | None = None) -> Loss:
    """Logistic loss on each logit; two class weights are those of the targets 0 and 1.

    Raises:
        InputError: The task is neither binary nor multilabel.
    """
    _check_task("binary_cross_entropy", task, ("binary", "multilabel"))

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


def auto(*, task: str, class_weights: Tensor | None = None) -> Loss:
    """The usual loss of `task`: the negative log-likelihood of classes, labels, or a normal distribution."""
    if task == "multiclass":
        return cross_entropy(class_weights=class_weights)
    if task == "regression":
        return mse()
    return binary_cross_entropy(class_weights=class_weights)


def build_loss(factory: Callable[..., Loss], task: str, num_outputs: int) -> Loss:
    """Call a loss option with those of `task` and `class_weights` that it names, and try the loss.

    Raises:
        InputError: The loss does not fit the task.
    """
    supplied = {"task": task, "class_weights": None}
    named = inspect.signature(factory).parameters
    loss = factory(**{name: value for name, value in supplied.items() if name in named})
    check_loss(loss, task, num_outputs)
    return loss


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
        raise InputError(
            "loss", f"does not fit a {task} task ({error})", next="loss=auto chooses by the task"
        ) from None
    if value.numel() != 1:
        raise InputError("loss", f"gives {tuple(value.shape)} numbers a batch", allowed="one number: a mean over rows")


def _check_task(loss: str, task: str, allowed: tuple[str, ...]) -> None:
    if task not in allowed:
        raise InputError("loss", f"{loss} does not fit a {task} task", next="loss=auto chooses by the task")
