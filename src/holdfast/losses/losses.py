"""Losses on logits, each with the reduction "mean over rows".

Every option gives a function of (outputs, targets). One that names the argument `task` is handed the task. One that
names `class_weights` takes None, one number a class, or a tensor, and is handed a tensor where the config says
"balanced"; weighted losses are means over rows of weight times loss, but for `cross_entropy` (see there).

Targets are int64 (rows,) for classes; otherwise they have the shape and dtype of the outputs: 0/1 for binary (rows,)
and multilabel (rows, labels), standardised values (rows,) for regression.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.core.errors import InputError

Loss = Callable[[Tensor, Tensor], Tensor]
ClassWeights = Tensor | Sequence[float] | Literal["balanced"] | None


class LossFactory(Protocol):
    """A loss option."""

    def __call__(self, *, class_weights: ClassWeights = None) -> Loss:
        """Build the loss; `class_weights` is named by losses that know classes."""
        ...


def cross_entropy(
    *, task: str = "multiclass", class_weights: ClassWeights = None, label_smoothing: float = 0.0
) -> Loss:
    """Softmax cross-entropy, -log softmax(z)_y; smoothing as in Szegedy et al. 2016, section 7.

    With smoothing e over C classes the target is 1 - e + e / C for y and e / C for the others. With class weights it is
    torch's weighted mean: the sum of w_y times loss, divided by the sum of w_y of the batch. With both, torch weighs
    the term of each class c of the smoothed target by its own w_c, and divides by the same sum of w_y.

    Raises:
        InputError: The task is not multiclass, or `label_smoothing` is outside of [0, 1].
    """
    _check_task("cross_entropy", task, ("multiclass",))
    if not 0.0 <= label_smoothing <= 1.0:
        raise InputError("loss.label_smoothing", f"is {label_smoothing}", allowed="0 <= label_smoothing <= 1")

    given = _as_tensor(class_weights)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if given is None else given.to(outputs)
        return functional.cross_entropy(outputs, targets, weight=weight, label_smoothing=label_smoothing)

    return loss


def binary_cross_entropy(*, task: str = "binary", class_weights: ClassWeights = None) -> Loss:
    """Logistic loss on each logit; two class weights are those of the targets 0 and 1.

    Raises:
        InputError: The task is neither binary nor multilabel.
    """
    _check_task("binary_cross_entropy", task, ("binary", "multilabel"))

    given = _as_tensor(class_weights)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if given is None else given.to(outputs)[targets.long()]
        return functional.binary_cross_entropy_with_logits(outputs, targets, weight=weight)

    return loss


def focal(*, task: str = "multiclass", class_weights: ClassWeights = None, gamma: float = 2.0) -> Loss:
    """-w (1 - p)^gamma log p of the target's probability p (Lin et al. 2017, equation 5; w is their alpha).

    By softmax for classes, by the logistic function of each logit for binary and multilabel.

    Raises:
        InputError: The task is a regression, or `gamma` is negative.
    """
    _check_task("focal", task, ("multiclass", "binary", "multilabel"))
    _check_number("gamma", gamma, gamma >= 0.0, "gamma >= 0")
    given = _as_tensor(class_weights)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        if task == "multiclass":
            entropy = functional.cross_entropy(outputs, targets, reduction="none")
        else:
            entropy = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        # 1 - p from the entropy -log p, exact where p is close to 1; above 0, where a power below 1 has a slope
        miss = (-torch.expm1(-entropy)).clamp(min=torch.finfo(entropy.dtype).tiny)
        values = miss**gamma * entropy
        weight = 1.0 if given is None else given.to(outputs)[targets.long()]
        return (weight * values).mean()

    return loss


def hinge(
    *, task: str = "multiclass", class_weights: ClassWeights = None, margin: float = 1.0, power: Literal[1, 2] = 1
) -> Loss:
    """Sum over the classes j other than y of max(0, margin + z_j - z_y) ** power (Weston and Watkins 1999; CS231n).

    With equal outputs it is C - 1 times the margin. torch's multi_margin_loss divides by the number of classes C.

    Raises:
        InputError: The task is not multiclass, or `margin` is not positive.
    """
    _check_task("hinge", task, ("multiclass",))
    _check_number("margin", margin, margin > 0.0, "margin > 0")
    given = _as_tensor(class_weights)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if given is None else given.to(outputs)
        return outputs.shape[1] * functional.multi_margin_loss(outputs, targets, p=power, margin=margin, weight=weight)

    return loss


def mse() -> Loss:
    """Mean of (output - target) ** 2, in units of the standardised target."""
    return _of_values(functional.mse_loss)


def mae() -> Loss:
    """Mean of |output - target|, in units of the standardised target."""
    return _of_values(functional.l1_loss)


def huber(*, delta: float = 1.0) -> Loss:
    """Mean of e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2) (Huber 1964), e of the standardised target.

    Raises:
        InputError: `delta` is not positive.
    """
    _check_number("delta", delta, delta > 0.0, "delta > 0")
    return _of_values(partial(functional.huber_loss, delta=delta))


def reconstruction() -> Loss:
    """Mean of (reconstruction - row) ** 2 over all numbers of the standardised rows."""
    return _of_values(functional.mse_loss)


def auto(*, task: str, class_weights: ClassWeights = None) -> Loss:
    """The usual loss of `task`: the negative log-likelihood of classes, labels, or a normal distribution."""
    if task == "multiclass":
        return cross_entropy(class_weights=class_weights)
    if task == "regression":
        return mse()
    return binary_cross_entropy(class_weights=class_weights)


def build_loss(
    factory: Callable[..., Loss], task: str, num_outputs: int, class_counts: Sequence[int] | None = None
) -> Loss:
    """Call a loss option with the task, where it names it, and with its class weights as a tensor; try the loss.

    Args:
        factory: The option.
        task: Of the data.
        num_outputs: Of the model.
        class_counts: Train rows of each class.

    Raises:
        InputError: The loss does not fit the task, or the weights do not fit the classes.
    """
    named = inspect.signature(factory).parameters
    supplied: dict[str, object] = {"task": task} if "task" in named else {}
    weights = getattr(factory, "keywords", {}).get("class_weights")
    if weights is not None:
        supplied["class_weights"] = _weights_of(weights, task, num_outputs, class_counts)
    loss = factory(**supplied)
    check_loss(loss, task, num_outputs)
    return loss


def balanced_weights(class_counts: Sequence[int]) -> Tensor:
    """n / (C n_c) for each class c (King and Zeng 2001): each class has the same weight, a row 1 on average.

    Raises:
        InputError: A class has no train row.
    """
    counts = torch.tensor(class_counts, dtype=torch.float64)
    if not (counts > 0).all():
        raise InputError("loss.class_weights", f"a class has no train row (rows by class: {list(class_counts)})")
    return counts.sum() / (len(counts) * counts)


def _weights_of(given: object, task: str, num_outputs: int, class_counts: Sequence[int] | None) -> Tensor:
    where, num_classes = "loss.class_weights", num_outputs if task == "multiclass" else 2
    if task == "regression":
        raise InputError(where, f"is {given}, and a regression has no classes", allowed="null")
    if given == "balanced":
        if class_counts is None or len(class_counts) != num_classes or task == "multilabel":
            raise InputError(where, f"is 'balanced', which a {task} task has no counts for", allowed="null, or numbers")
        return balanced_weights(class_counts)
    weights = torch.as_tensor(given, dtype=torch.float64)
    if weights.shape != (num_classes,) or not (weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0):
        raise InputError(where, f"is {given}", allowed=f"null, balanced, or {num_classes} numbers from 0, not all 0")
    return weights


def _as_tensor(class_weights: ClassWeights) -> Tensor | None:
    if class_weights is None:
        return None
    if isinstance(class_weights, str):
        raise TypeError("'balanced' needs the counts of the train rows: build_loss takes them")
    return torch.as_tensor(class_weights, dtype=torch.float64)


def _of_values(function: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A loss of values, which must not broadcast."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.shape != targets.shape:
            raise ValueError(f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} differ in shape")
        return function(outputs, targets)

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


def _check_number(name: str, value: float, is_right: bool, allowed: str) -> None:
    if not (is_right and math.isfinite(value)):
        raise InputError(f"loss.{name}", f"is {value}", allowed=allowed)
