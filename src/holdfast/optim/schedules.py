"""Learning-rate schedules: the rate of a step or an epoch as a factor of the optimizer's own rate.

Every option is called `schedule(optimizer, *, total_steps, steps_per_epoch)` and gives Lightning's scheduler
dictionary, which says itself whether it moves per step or per epoch. Steps and epochs count from 0 here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, Protocol

import torch
from torch.optim.lr_scheduler import LambdaLR

from holdfast.core.errors import InputError


class Schedule(Protocol):
    """A schedule option."""

    def __call__(self, optimizer: torch.optim.Optimizer, *, total_steps: int, steps_per_epoch: int) -> dict[str, Any]:
        """Build the scheduler.

        Args:
            optimizer: Its rates are what the factors multiply.
            total_steps: Optimizer steps of the whole training.
            steps_per_epoch: Optimizer steps of one epoch.
        """
        ...


def constant(optimizer: torch.optim.Optimizer, *, total_steps: int, steps_per_epoch: int) -> dict[str, Any]:
    """The rate stays as it is."""
    return _scheduler(optimizer, lambda epoch: 1.0, "epoch")


def step(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    factor: float = 0.5,
    every_epochs: int = 5,
) -> dict[str, Any]:
    """Multiply the rate by `factor` after every `every_epochs` epochs (CS231n: 0.5 every 5, or 0.1 every 20).

    Per epoch: factor ** (epoch // every_epochs).

    Raises:
        InputError: `factor` is not in (0, 1], or `every_epochs` is below 1.
    """
    if not 0.0 < factor <= 1.0:
        raise InputError("schedule.factor", f"is {factor}", allowed="0 < factor <= 1")
    if every_epochs < 1:
        raise InputError("schedule.every_epochs", f"is {every_epochs}", allowed="whole numbers from 1")
    return _scheduler(optimizer, lambda epoch: factor ** (epoch // every_epochs), "epoch")


def cosine(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    final_factor: float = 0.0,
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
) -> dict[str, Any]:
    """Half a cosine from 1 to `final_factor` (Loshchilov and Hutter 2017, equation 5, one cycle), after a warm-up.

    Per step t of T with w steps of warm-up: (t + 1) / (w + 1) for t < w, then
    final + (1 - final) (1 + cos(pi (t - w) / (T - w))) / 2. The full rate is reached at t = w.

    Args:
        optimizer: Its rates are what the factors multiply.
        total_steps: T.
        steps_per_epoch: Optimizer steps of one epoch.
        final_factor: What is left of the rate after the last step, in [0, 1].
        warmup_epochs: Length of the linear warm-up in epochs; give at most one of the three lengths.
        warmup_steps: Its length in steps.
        warmup_fraction: Its length as a share of all steps, in [0, 1).

    Raises:
        InputError: Two lengths are given, or the warm-up is not shorter than the training.
    """
    if not 0.0 <= final_factor <= 1.0:
        raise InputError("schedule.final_factor", f"is {final_factor}", allowed="0 <= final_factor <= 1")
    warmup = warmup_length(
        total_steps, steps_per_epoch, epochs=warmup_epochs, steps=warmup_steps, fraction=warmup_fraction
    )
    return _scheduler(optimizer, lambda step: _cosine_factor(step, warmup, total_steps, final_factor), "step")


def warmup_length(
    total_steps: int, steps_per_epoch: int, *, epochs: float | None, steps: int | None, fraction: float | None
) -> int:
    """Steps of warm-up from at most one of three units; 0 when none is given.

    Raises:
        InputError: Two units are given, the length is negative, or it is not shorter than the training.
    """
    lengths = {"warmup_epochs": epochs, "warmup_steps": steps, "warmup_fraction": fraction}
    given = {name: value for name, value in lengths.items() if value is not None}
    if len(given) > 1:
        raise InputError("schedule", f"{' and '.join(given)} are given together", allowed="one of the three units")
    units = {"warmup_epochs": steps_per_epoch, "warmup_steps": 1, "warmup_fraction": total_steps}
    for name, value in given.items():
        length = round(value * units[name])
        if not 0 <= length < total_steps:
            raise InputError(
                f"schedule.{name}", f"is {value}, that is {length} steps", allowed=f"0 to {total_steps - 1} steps"
            )
        return length
    return 0


def _cosine_factor(step: int, warmup: int, total_steps: int, final_factor: float) -> float:
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / (total_steps - warmup))
    return final_factor + (1.0 - final_factor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def _scheduler(
    optimizer: torch.optim.Optimizer, factor: Callable[[int], float], interval: Literal["step", "epoch"]
) -> dict[str, Any]:
    return {"scheduler": LambdaLR(optimizer, factor), "interval": interval, "frequency": 1, "name": "lr"}
