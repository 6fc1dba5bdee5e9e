"""The rate as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer

from holdfast.schedules.curves import Training, Warmup, by_epoch


def constant(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """The rate stays as it is."""
    training = Training(optimizer, total_steps, steps_per_epoch, warmup, momentum)
    return by_epoch(training, lambda epoch: 1.0)
