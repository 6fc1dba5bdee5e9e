"""1/t decay over epochs or steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from torch.optim import Optimizer

from holdfast.core.errors import require
from holdfast.schedules.curves import Training, Warmup, by_epoch, by_step


def inverse_time(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    k: float = 0.1,
    unit: Literal["epoch", "step"] = "epoch",
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """1/t decay, 1 / (1 + k t) (CS231n, "Annealing the learning rate"; TUM, lecture 6, "Learning Rate Decay").

    t is the number of epochs or, with `unit=step`, of steps that are done: the training begins with the full rate.
    (TUM's table, 0.1, 0.05, 0.033, ... for k = 1, numbers its epochs from 0.)

    Raises:
        InputError: `k` is negative.
    """
    require(0.0 <= k < math.inf, "schedule.k", k, "k >= 0")
    training = Training(optimizer, total_steps, steps_per_epoch, warmup, momentum)
    if unit == "step":
        return by_step(training, lambda step, num_steps: 1.0 / (1.0 + k * step))
    return by_epoch(training, lambda epoch: 1.0 / (1.0 + k * (epoch - 1)))
