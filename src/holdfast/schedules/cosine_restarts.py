"""Half cosines that start again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from holdfast.core.errors import require
from holdfast.schedules.curves import Training, Warmup, by_step, half_cosine


def cosine_restarts(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    first_cycle_epochs: float = 10.0,
    cycle_multiplier: int = 2,
    final_factor: float = 0.0,
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Cosines that start again (SGDR; Loshchilov and Hutter 2017, equation 5), each cycle longer than the last.

    In step t of a cycle of T_i steps: final + (1 - final) (1 + cos(pi t / T_i)) / 2;
    T_(i+1) = `cycle_multiplier` T_i.

    Raises:
        InputError: `final_factor` is not in [0, 1], a cycle has no step, or `cycle_multiplier` is below 1.
    """
    require(0.0 <= final_factor <= 1.0, "schedule.final_factor", final_factor, "0 <= final_factor <= 1")
    require(cycle_multiplier >= 1, "schedule.cycle_multiplier", cycle_multiplier, "whole numbers from 1")
    first = round(first_cycle_epochs * steps_per_epoch) if math.isfinite(first_cycle_epochs) else 0
    require(first >= 1, "schedule.first_cycle_epochs", first_cycle_epochs, "at least one step")

    def curve(step: int, num_steps: int) -> float:
        length = first
        while step >= length:
            step, length = step - length, length * cycle_multiplier
        return half_cosine(1.0, final_factor, step / length)

    return by_step(Training(optimizer, total_steps, steps_per_epoch, warmup, momentum), curve)
