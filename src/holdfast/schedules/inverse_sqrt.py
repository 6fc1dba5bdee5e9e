"""The inverse square root of the epoch's number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from holdfast.core.errors import require
from holdfast.schedules.curves import Training, Warmup, by_epoch


def inverse_sqrt(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    scale: float = 1.0,
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """scale / sqrt(epoch) (TUM, lecture 6, "Learning Rate Decay": alpha = t / sqrt(epoch) alpha_0).

    Raises:
        InputError: `scale` is not positive.
    """
    require(0.0 < scale < math.inf, "schedule.scale", scale, "scale > 0")
    training = Training(optimizer, total_steps, steps_per_epoch, warmup, momentum)
    return by_epoch(training, lambda epoch: scale / math.sqrt(epoch))
