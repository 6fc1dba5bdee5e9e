"""A straight line over the whole training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from holdfast.core.errors import require
from holdfast.schedules.curves import Training, Warmup, by_step


def linear(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    final_factor: float = 0.0,
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """A straight line from 1 to `final_factor`: 1 - (1 - final_factor) t / T.

    Raises:
        InputError: `final_factor` is not in [0, 1].
    """
    require(0.0 <= final_factor <= 1.0, "schedule.final_factor", final_factor, "0 <= final_factor <= 1")

    def curve(step: int, num_steps: int) -> float:
        return 1.0 - (1.0 - final_factor) * min(1.0, step / num_steps)

    return by_step(Training(optimizer, total_steps, steps_per_epoch, warmup, momentum), curve)
