"""Losses on logits, each with the reduction "mean over rows".

Every option gives a function of (outputs, targets). One that names the argument `task` is handed the task, and refuses
one that it is not for. One that names `class_weights` takes None, one number a class, or a tensor, and is handed a
tensor where the config says "balanced"; weighted losses are means over rows of weight times loss, but for
`cross_entropy` (see there).

Targets are int64 (rows,) for classes; otherwise they have the shape and dtype of the outputs: 0/1 for binary (rows,)
and multilabel (rows, labels), standardised values (rows,) for regression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.core.errors import InputError, require
from holdfast.core.tasks import task_of

__all__ = ["auto", "binary_cross_entropy", "cross_entropy", "focal", "hinge", "huber", "mae", "mse", "reconstruction"]

Loss = Callable[[Tensor, Tensor], Tensor]
ClassWeights = Tensor | Sequence[float] | Literal["balanced"] | None


def auto(*, task: str, class_weights: ClassWeights = None) -> Loss:
    """The usual loss of `task`: the negative log-likelihood of classes, labels, or a normal distribution."""
    if task_of(task).is_values:
        return mse()
    usual = cross_entropy if task_of(task).is_softmax else binary_cross_entropy
    return usual(task=task, class_weights=class_weights)


def cross_entropy(
    *, task: str = "multiclass", class_weights: ClassWeights = None, label_smoothing: float = 0.0
) -> Loss:
    """Softmax cross-entropy, -log softmax(z)_y; smoothing as in Szegedy et al. 2016, section 7.

    With smoothing e over C classes the target is 1 - e + e / C for y and e / C for the others. With class weights it is
    torch's weighted mean: the sum of w_y times loss, divided by the sum of w_y of the batch. With both, torch weighs
    the term of each class c of the smoothed target by its own w_c, and divides by the same sum of w_y.
    """
    _check_fits("cross_entropy", task, task_of(task).is_softmax)
    require(0.0 <= label_smoothing <= 1.0, "loss.label_smoothing", label_smoothing, "0 <= label_smoothing <= 1")
    return CrossEntropy(_as_tensor(class_weights), label_smoothing)


@dataclass(frozen=True)
class CrossEntropy:
    """The loss that `cross_entropy` gives."""

    weights: Tensor | None
    label_smoothing: float

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over rows."""
        weight = None if self.weights is None else self.weights.to(outputs)
        return functional.cross_entropy(outputs, targets, weight=weight, label_smoothing=self.label_smoothing)

    def of_members(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss (members,) of each network of a stack, from outputs (members, rows, classes)."""
        # classes in front: torch's softmax over a last dimension of few classes takes twenty times as long on a CPU
        weight = None if self.weights is None else self.weights.to(outputs)
        losses = functional.cross_entropy(
            outputs.mT, targets, weight=weight, label_smoothing=self.label_smoothing, reduction="none"
        )
        return losses.mean(dim=1) if weight is None else losses.sum(dim=1) / weight[targets].sum(dim=1)


def binary_cross_entropy(*, task: str = "binary", class_weights: ClassWeights = None) -> Loss:
    """Logistic loss on each logit; two class weights are those of the targets 0 and 1."""
    _check_fits("binary_cross_entropy", task, not (task_of(task).is_softmax or task_of(task).is_values))
    weights = _as_tensor(class_weights)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if weights is None else weights.to(outputs)[targets.long()]
        return functional.binary_cross_entropy_with_logits(outputs, targets, weight=weight)

    return loss


def focal(*, task: str = "multiclass", class_weights: ClassWeights = None, gamma: float = 2.0) -> Loss:
    """-w (1 - p)^gamma log p of the target's probability p (Lin et al. 2017, equation 5; w is their alpha).

    By softmax for classes, by the logistic function of each logit for binary and multilabel.
    """
    _check_fits("focal", task, not task_of(task).is_values)
    require(0.0 <= gamma < math.inf, "loss.gamma", gamma, "gamma >= 0")
    weights = _as_tensor(class_weights)
    is_softmax = task_of(task).is_softmax
    entropy_of = functional.cross_entropy if is_softmax else functional.binary_cross_entropy_with_logits

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        entropy = entropy_of(outputs, targets, reduction="none")
        # 1 - p from the entropy -log p, exact where p is close to 1; above 0, where a power below 1 has a slope
        miss = (-torch.expm1(-entropy)).clamp(min=torch.finfo(entropy.dtype).tiny)
        values = miss**gamma * entropy
        weight = 1.0 if weights is None else weights.to(outputs)[targets.long()]
        return (weight * values).mean()

    return loss


def hinge(
    *, task: str = "multiclass", class_weights: ClassWeights = None, margin: float = 1.0, power: Literal[1, 2] = 1
) -> Loss:
    """Sum over the classes j other than y of max(0, margin + z_j - z_y) ** power (Weston and Watkins 1999; CS231n).

    With equal outputs it is C - 1 times the margin. torch's multi_margin_loss divides by the number of classes C.
    """
    _check_fits("hinge", task, task_of(task).is_softmax)
    require(0.0 < margin < math.inf, "loss.margin", margin, "margin > 0")
    weights = _as_tensor(class_weights)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if weights is None else weights.to(outputs)
        return outputs.shape[1] * functional.multi_margin_loss(outputs, targets, p=power, margin=margin, weight=weight)

    return loss


def mse() -> Loss:
    """Mean of (output - target) ** 2, in units of the standardised target."""
    return _of_values(functional.mse_loss)


def mae() -> Loss:
    """Mean of |output - target|, in units of the standardised target."""
    return _of_values(functional.l1_loss)


def huber(*, delta: float = 1.0) -> Loss:
    """Mean of e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2) (Huber 1964), e of the standardised target."""
    require(0.0 < delta < math.inf, "loss.delta", delta, "delta > 0")
    return _of_values(partial(functional.huber_loss, delta=delta))


def reconstruction() -> Loss:
    """Mean of (reconstruction - row) ** 2 over all numbers of the standardised rows."""
    return _of_values(functional.mse_loss)


def _check_fits(loss: str, task: str, fits: bool) -> None:
    """Refuse a task that the loss called `loss` is not for."""
    if not fits:
        raise InputError("loss", f"{loss} does not fit a {task} task", next="loss=auto chooses by the task")


def _as_tensor(class_weights: ClassWeights) -> Tensor | None:
    """Class weights in double precision; a loss brings them to the type and device of its outputs."""
    return None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float64)


def _of_values(function: Loss) -> Loss:
    """A loss of values, which must not broadcast."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.shape != targets.shape:
            raise ValueError(f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} differ in shape")
        return function(outputs, targets)

    return loss
