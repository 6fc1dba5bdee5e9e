"""The loss of a run, from its option."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from holdfast.config.resolve import is_itself, named
from holdfast.core.errors import InputError, blamed
from holdfast.core.tasks import task_of
from holdfast.losses import Loss


def build_loss(
    factory: Callable[..., Any], task: str, num_outputs: int, class_counts: Sequence[int] | None = None
) -> Loss:
    """Make the loss of an option, or take a function of (outputs, targets) as it is; try it.

    Args:
        factory: The option: it is handed the task, where it names it, and its class weights as a tensor.
        task: Of the data.
        num_outputs: Of the model.
        class_counts: Train rows of each class.

    Raises:
        InputError: The loss does not fit the task, or the weights do not fit the classes.
    """
    given: dict[str, object] = getattr(factory, "keywords", {})
    supplied: dict[str, object] = named(factory, {"task": task})
    if given.get("class_weights") is not None:
        supplied["class_weights"] = _weights_of(given["class_weights"], task, num_outputs, class_counts)
    loss: Loss = partial(factory, **supplied)
    if not is_itself("loss", getattr(factory, "func", factory), given):
        with blamed("loss", "cannot be built"):
            loss = factory(**supplied)
    check_loss(loss, task, num_outputs)
    return loss


def balanced_weights(class_counts: Sequence[int]) -> Tensor:
    """n / (C n_c) for each class c (King and Zeng 2001): each class has the same weight, a row 1 on average."""
    counts = torch.tensor(class_counts, dtype=torch.float64)
    if not (counts > 0).all():
        raise InputError("loss.class_weights", f"a class has no train row (rows by class: {list(class_counts)})")
    return counts.sum() / (len(counts) * counts)


def _weights_of(given: object, task: str, num_outputs: int, class_counts: Sequence[int] | None) -> Tensor:
    kind, where = task_of(task), "loss.class_weights"
    num_classes = kind.num_columns(num_outputs) if kind.is_classes else 2
    if kind.is_values:
        raise InputError(where, f"is {given}, and a regression has no classes", allowed="null")
    if given == "balanced":
        if class_counts is None or len(class_counts) != num_classes or kind.is_labels:
            raise InputError(where, f"is 'balanced', which a {task} task has no counts for", allowed="null, or numbers")
        return balanced_weights(class_counts)
    weights = torch.as_tensor(given, dtype=torch.float64)
    if weights.shape != (num_classes,) or not (weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0):
        raise InputError(where, f"is {given}", allowed=f"null, balanced, or {num_classes} numbers from 0, not all 0")
    return weights


def check_loss(loss: Loss, task: str, num_outputs: int) -> None:
    """Try `loss` on two made-up rows of the task.

    Raises:
        InputError: It does not take them, or its answer is no single number that gradients can go through.
    """
    kind = task_of(task)
    outputs = torch.zeros(2, *kind.row_shape(num_outputs), requires_grad=True)
    targets = torch.zeros(2, dtype=torch.int64) if kind.is_softmax else torch.zeros_like(outputs)
    shapes = f"outputs {tuple(outputs.shape)} and {targets.dtype} targets {tuple(targets.shape)} of two rows"
    problem, hint = f"does not fit a {task} task: it fails for {shapes}", "loss=auto chooses by the task"
    with blamed("loss", problem, hint), torch.enable_grad():  # a check may build it where none are recorded
        value: object = loss(outputs, targets)
    allowed = "a tensor of one number: a mean over rows"
    if not isinstance(value, Tensor):
        raise InputError("loss", f"gives a {type(value).__name__}", allowed)
    if value.numel() != 1:
        raise InputError("loss", f"gives {tuple(value.shape)} numbers a batch", allowed, "end it with .mean()")
    if not value.requires_grad:
        raise InputError("loss", "gives a number that no gradient goes through", allowed, "compute it from outputs")
