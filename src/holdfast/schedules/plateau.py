"""The schedule that goes by what is measured."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from holdfast.core.errors import require


def plateau(
    optimizer: Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    monitor: str,
    mode: Literal["min", "max"],
    factor: float = 0.5,
    patience: int = 5,
    threshold: float = 1e-4,
    cooldown: int = 0,
    min_lr: float = 0.0,
) -> dict[str, Any]:
    """Multiply the rate by `factor` where the monitored val metric stopped improving (CS231n, "Step decay"; FAU).

    torch's ReduceLROnPlateau, asked after every epoch's validation: the rate drops once more than `patience` epochs
    in a row were not better than the best by the relative `threshold`. It has no warm-up: there is no best to be
    better than while the rate rises.

    Args:
        optimizer: Its rates are multiplied.
        total_steps: Not needed.
        steps_per_epoch: Not needed.
        monitor: The run's monitor.
        mode: Whether less or more of it is better.
        factor: In (0, 1).
        patience: Epochs without an improvement that are waited through.
        threshold: Share of the best by which a value must beat it.
        cooldown: Epochs after a drop that do not count.
        min_lr: No rate falls below it.

    Raises:
        InputError: An argument is out of its range.
    """
    require(0.0 < factor < 1.0, "schedule.factor", factor, "0 < factor < 1")
    for name, value in {"patience": patience, "threshold": threshold, "cooldown": cooldown, "min_lr": min_lr}.items():
        require(0.0 <= value < math.inf, f"schedule.{name}", value, f"{name} >= 0")
    scheduler = ReduceLROnPlateau(
        optimizer, mode, factor=factor, patience=patience, threshold=threshold, cooldown=cooldown, min_lr=min_lr
    )
    return {
        "scheduler": scheduler,
        "interval": "epoch",
        "frequency": 1,
        "monitor": monitor,
        "strict": True,
        "name": "lr",
    }
