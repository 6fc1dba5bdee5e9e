"""Exponential decay over epochs or steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from torch.optim import Optimizer

from holdfast.core.errors import require
from holdfast.schedules.curves import Training, Warmup, by_epoch, by_step


def exponential(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    k: float = 0.1,
    unit: Literal["epoch", "step"] = "epoch",
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Exponential decay in CS231n's form, exp(-k t) ("Annealing the learning rate": alpha = alpha_0 e^(-k t)).

    t is the number of epochs or, with `unit=step`, of steps that are done: the training begins with the full rate.

    Raises:
        InputError: `k` is negative.
    """
    require(0.0 <= k < math.inf, "schedule.k", k, "k >= 0")
    training = Training(optimizer, total_steps, steps_per_epoch, warmup, momentum)
    if unit == "step":
        return by_step(training, lambda step, num_steps: math.exp(-k * step))
    return by_epoch(training, lambda epoch: math.exp(-k * (epoch - 1)))
