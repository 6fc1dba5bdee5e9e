"""Half cosines up to the full rate and far down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from holdfast.core.errors import InputError, require
from holdfast.schedules.curves import Training, by_step, half_cosine


def one_cycle(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    rise_fraction: float = 0.3,
    initial_factor: float = 0.04,
    final_factor: float = 4e-6,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """One cycle of half cosines: up to the full rate, then far down (Smith and Topin 2018; torch's OneCycleLR).

    With p = rise_fraction T - 1: from `initial_factor` to 1 in steps 0 to p, to `final_factor` in steps p to T - 1.
    torch gives the lowest rate as a share of the initial one: 1e-4 of 0.04.

    Raises:
        InputError: A factor is not in [0, 1], or the rise does not leave a step on either side of it.
    """
    require(0.0 <= final_factor <= 1.0, "schedule.final_factor", final_factor, "0 <= final_factor <= 1")
    require(0.0 <= initial_factor <= 1.0, "schedule.initial_factor", initial_factor, "0 <= initial_factor <= 1")
    peak = rise_fraction * total_steps - 1.0
    if not 0.0 < peak < total_steps - 1.0:
        problem = f"is {rise_fraction}, of {total_steps} steps"
        raise InputError("schedule.rise_fraction", problem, allowed="a rise of more than one step, and not all of them")

    def curve(step: int, num_steps: int) -> float:
        if step <= peak:
            return half_cosine(initial_factor, 1.0, step / peak)
        return half_cosine(1.0, final_factor, (step - peak) / (num_steps - 1.0 - peak))

    return by_step(Training(optimizer, total_steps, steps_per_epoch, None, momentum), curve)
