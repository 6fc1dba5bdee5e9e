"""Steps down after some epochs each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from holdfast.core.errors import require
from holdfast.schedules.curves import Training, Warmup, by_epoch


def step(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    factor: float = 0.5,
    every_epochs: int = 5,
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Multiply the rate by `factor` after every `every_epochs` epochs (CS231n: 0.5 every 5, or 0.1 every 20).

    factor ** ((epoch - 1) // every_epochs).

    Raises:
        InputError: `factor` is not in (0, 1], or `every_epochs` is below 1.
    """
    require(0.0 < factor <= 1.0, "schedule.factor", factor, "0 < factor <= 1")
    require(every_epochs >= 1, "schedule.every_epochs", every_epochs, "whole numbers from 1")

    def curve(epoch: int) -> float:
        return float(factor ** ((epoch - 1) // every_epochs))

    return by_epoch(Training(optimizer, total_steps, steps_per_epoch, warmup, momentum), curve)
