"""Warm-up, stable, decay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from torch.optim import Optimizer

from holdfast.core.errors import InputError, require
from holdfast.schedules.curves import Training, Warmup, by_step, warmup_steps


def wsd(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    decay_fraction: float = 0.2,
    final_factor: float = 0.0,
    shape: Literal["linear", "sqrt"] = "linear",
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Warm-up, stable, decay (Hu et al. 2024, section 4.2): down over the last `decay_fraction` of all steps.

    With p from 0 to 1 over the decay: 1 - (1 - final) p for `linear`, 1 - (1 - final) sqrt(p) for `sqrt` (Hagele et
    al. 2024, section 3). The warm-up is the one all schedules share.

    Raises:
        InputError: `final_factor` is not in [0, 1], or the decay and the warm-up are longer than the training.
    """
    require(0.0 <= final_factor <= 1.0, "schedule.final_factor", final_factor, "0 <= final_factor <= 1")
    require(0.0 <= decay_fraction <= 1.0, "schedule.decay_fraction", decay_fraction, "0 <= decay_fraction <= 1")
    training = Training(optimizer, total_steps, steps_per_epoch, warmup, momentum)
    num_decay_steps, num_warmup_steps = round(decay_fraction * total_steps), warmup_steps(training)
    if num_decay_steps + num_warmup_steps > total_steps:
        problem = f"is {decay_fraction}, that is {num_decay_steps} steps after {num_warmup_steps} of warm-up"
        raise InputError("schedule.decay_fraction", problem, allowed=f"at most {total_steps} steps together")

    def curve(step: int, num_steps: int) -> float:
        num_stable_steps = num_steps - num_decay_steps
        if step < num_stable_steps:
            return 1.0
        progress = min(1.0, (step - num_stable_steps) / max(1, num_decay_steps))
        return 1.0 - (1.0 - final_factor) * (progress if shape == "linear" else math.sqrt(progress))

    return by_step(training, curve)
