"""A power of the epoch's number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from holdfast.core.errors import require
from holdfast.schedules.curves import Training, Warmup, by_epoch


def geometric(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    base: float = 0.95,
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """base ** epoch (exponential decay in TUM's form, lecture 6, "Learning Rate Decay": alpha = t^epoch alpha_0).

    The first epoch, which is epoch 1, has the factor `base`.

    Raises:
        InputError: `base` is not in (0, 1].
    """
    require(0.0 < base <= 1.0, "schedule.base", base, "0 < base <= 1")
    training = Training(optimizer, total_steps, steps_per_epoch, warmup, momentum)
    return by_epoch(training, lambda epoch: float(base**epoch))
