"""Schedules by the epoch: the rate of an epoch as a factor of the optimizer's own rate.

Epochs count from 1. Every option is called `schedule(optimizer, *, total_steps, steps_per_epoch)` and gives Lightning's
scheduler dictionary. All share `warmup_epochs`, `warmup_steps` and `warmup_fraction` (at most one of them) and
`momentum`, which `holdfast.schedules.warmup` explains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch

from holdfast.core.errors import InputError
from holdfast.schedules.warmup import Plan, in_range, over_epochs, over_training


def constant(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """The rate stays as it is."""
    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    return over_epochs(plan, lambda epoch: 1.0)


def step(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    factor: float = 0.5,
    every_epochs: int = 5,
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Multiply the rate by `factor` after every `every_epochs` epochs (CS231n: 0.5 every 5, or 0.1 every 20).

    factor ** ((epoch - 1) // every_epochs).

    Raises:
        InputError: `factor` is not in (0, 1], or `every_epochs` is below 1.
    """
    _check_factor(factor)
    if every_epochs < 1:
        raise InputError("schedule.every_epochs", f"is {every_epochs}", allowed="whole numbers from 1")
    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    return over_epochs(plan, lambda epoch: factor ** ((epoch - 1) // every_epochs))


def multistep(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    epochs: Sequence[int] = (15, 25),
    factor: float = 0.1,
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """By hand: multiply the rate by `factor` after each of the given epochs.

    factor ** (number of `epochs` that lie before this one); with `epochs=[15, 25]` it drops in epochs 16 and 26.

    Raises:
        InputError: `epochs` do not rise from 1 on, or `factor` is not in (0, 1].
    """
    _check_factor(factor)
    if any(late <= early for early, late in pairwise([0, *epochs])):
        raise InputError("schedule.epochs", f"is {list(epochs)}", allowed="rising whole numbers from 1")
    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    return over_epochs(plan, lambda epoch: factor ** sum(past < epoch for past in epochs))


def geometric(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    base: float = 0.95,
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """base ** epoch (exponential decay in TUM's form, lecture 6, "Learning Rate Decay": alpha = t^epoch alpha_0).

    The first epoch, which is epoch 1, has the factor `base`.

    Raises:
        InputError: `base` is not in (0, 1].
    """
    in_range("schedule", "base", base, least=math.ulp(0.0), most=1.0, text="0 < base <= 1")
    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    return over_epochs(plan, lambda epoch: float(base**epoch))


def inverse_sqrt(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    scale: float = 1.0,
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """scale / sqrt(epoch) (TUM, lecture 6, "Learning Rate Decay": alpha = t / sqrt(epoch) alpha_0).

    Raises:
        InputError: `scale` is not positive.
    """
    in_range("schedule", "scale", scale, least=math.ulp(0.0), text="scale > 0")
    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    return over_epochs(plan, lambda epoch: scale / math.sqrt(epoch))


def exponential(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    k: float = 0.1,
    unit: Literal["epoch", "step"] = "epoch",
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Exponential decay in CS231n's form, exp(-k t) ("Annealing the learning rate": alpha = alpha_0 e^(-k t)).

    t is the number of epochs or, with `unit=step`, of steps that are done: the training begins with the full rate.

    Raises:
        InputError: `k` is negative.
    """
    in_range("schedule", "k", k, least=0.0, text="k >= 0")
    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    if unit == "step":
        return over_training(plan, lambda step, num_steps: math.exp(-k * step))
    return over_epochs(plan, lambda epoch: math.exp(-k * (epoch - 1)))


def inverse_time(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    k: float = 0.1,
    unit: Literal["epoch", "step"] = "epoch",
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """1/t decay, 1 / (1 + k t) (CS231n, "Annealing the learning rate"; TUM, lecture 6, "Learning Rate Decay").

    t is the number of epochs or, with `unit=step`, of steps that are done: the training begins with the full rate.
    (TUM's table, 0.1, 0.05, 0.033, ... for k = 1, numbers its epochs from 0.)

    Raises:
        InputError: `k` is negative.
    """
    in_range("schedule", "k", k, least=0.0, text="k >= 0")
    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    if unit == "step":
        return over_training(plan, lambda step, num_steps: 1.0 / (1.0 + k * step))
    return over_epochs(plan, lambda epoch: 1.0 / (1.0 + k * (epoch - 1)))


def _check_factor(factor: float) -> None:
    in_range("schedule", "factor", factor, least=math.ulp(0.0), most=1.0, text="0 < factor <= 1")
