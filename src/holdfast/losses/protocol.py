"""The protocol of losses, and functions that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from holdfast.core.errors import InputError

Loss = Callable[[Tensor, Tensor], Tensor]
ClassWeights = Tensor | Sequence[float] | Literal["balanced"] | None


class LossFactory(Protocol):
    """A loss option."""

    def __call__(self, *, class_weights: ClassWeights = None) -> Loss:
        """Build the loss; `class_weights` is named by losses that know classes."""
        ...


def check_task(loss: str, task: str, allowed: Sequence[str]) -> None:
    """Refuse a task that the loss called `loss` is not for."""
    if task not in allowed:
        raise InputError("loss", f"{loss} does not fit a {task} task", next="loss=auto chooses by the task")


def as_tensor(class_weights: ClassWeights) -> Tensor | None:
    """Class weights in double precision; a loss brings them to the type and device of its outputs."""
    if class_weights is None:
        return None
    if isinstance(class_weights, str):
        raise TypeError("'balanced' needs the counts of the train rows: build_loss takes them")
    return torch.as_tensor(class_weights, dtype=torch.float64)


def of_values(function: Loss) -> Loss:
    """A loss of values, which must not broadcast."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.shape != targets.shape:
            raise ValueError(f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} differ in shape")
        return function(outputs, targets)

    return loss
