"""Steps down after epochs that are given by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch.optim import Optimizer

from holdfast.core.errors import require
from holdfast.schedules.curves import Training, Warmup, by_epoch


def multistep(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    epochs: Sequence[int] = (15, 25),
    factor: float = 0.1,
    warmup: Warmup = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Multiply the rate by `factor` after each of the given epochs.

    factor ** (number of `epochs` that lie before this one); with `epochs=[15, 25]` it drops in epochs 16 and 26.

    Raises:
        InputError: `epochs` do not rise from 1 on, or `factor` is not in (0, 1].
    """
    require(0.0 < factor <= 1.0, "schedule.factor", factor, "0 < factor <= 1")
    rises = all(early < late for early, late in pairwise([0, *epochs]))
    require(rises, "schedule.epochs", list(epochs), "rising whole numbers from 1")

    def curve(epoch: int) -> float:
        return float(factor ** sum(past < epoch for past in epochs))

    return by_epoch(Training(optimizer, total_steps, steps_per_epoch, warmup, momentum), curve)
