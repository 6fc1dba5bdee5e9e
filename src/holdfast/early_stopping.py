"""Rules that stop a run before the last epoch, by the monitored values and without a state of their own.

Every rule is called `rule(values, mode=...)` after each epoch and answers whether to stop, and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

from holdfast.core.errors import require

__all__ = ["patience"]


class StoppingRule(Protocol):
    """An early-stopping option: it sees the monitored value of every epoch so far."""

    def __call__(self, values: Sequence[float], *, mode: Literal["min", "max"]) -> tuple[bool, str]:
        """Decide whether to stop, and say why; the reason is empty when training goes on."""
        ...


def patience(
    values: Sequence[float],
    *,
    mode: Literal["min", "max"],
    num_epochs: int = 10,
    min_delta: float = 0.0,
    divergence: float | None = None,
) -> tuple[bool, str]:
    """Stop when `num_epochs` epochs in a row did not improve on the best by more than `min_delta` (Prechelt 1998).

    The answer follows from the history alone, so a resumed run stops where an uninterrupted one does.

    Args:
        values: The monitored value of every epoch so far.
        mode: Whether less or more of it is better.
        num_epochs: Epochs without an improvement.
        min_delta: What counts as one, in units of the metric.
        divergence: A value that is worse stops the run at once; None: however bad, it is waited for.
    """
    require(num_epochs >= 1, "early_stopping.num_epochs", num_epochs, "whole numbers from 1")
    require(min_delta >= 0.0, "early_stopping.min_delta", min_delta, "numbers from 0")
    is_right = divergence is None or math.isfinite(divergence)
    require(is_right, "early_stopping.divergence", divergence, "null, or a finite number")
    sign = 1.0 if mode == "min" else -1.0
    if divergence is not None and values and sign * values[-1] > sign * divergence:
        return True, f"diverged: {values[-1]:.6g} in epoch {len(values)} is worse than {divergence:g}"
    best, best_epoch = float("inf"), 0
    for epoch, value in enumerate(values, start=1):
        if sign * value < best - min_delta:
            best, best_epoch = sign * value, epoch
    waited, since = len(values) - best_epoch, f"{sign * best:.6g} of epoch {best_epoch}"
    if waited < num_epochs:
        return False, ""
    return True, f"no improvement by more than {min_delta:g} on {since} in {waited} epochs"
