"""Half a cosine over the whole training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from holdfast.core.errors import require
from holdfast.schedules.curves import Training, Warmup, by_step, half_cosine


def cosine(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    final_factor: float = 0.0,
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Half a cosine from 1 to `final_factor` (Loshchilov and Hutter 2017, equation 5, one cycle).

    final + (1 - final) (1 + cos(pi t / T)) / 2.

    Raises:
        InputError: `final_factor` is not in [0, 1].
    """
    require(0.0 <= final_factor <= 1.0, "schedule.final_factor", final_factor, "0 <= final_factor <= 1")

    def curve(step: int, num_steps: int) -> float:
        return half_cosine(1.0, final_factor, step / num_steps)

    return by_step(Training(optimizer, total_steps, steps_per_epoch, warmup, momentum), curve)
