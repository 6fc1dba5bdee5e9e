"""A schedule drawn without training: the option is moved as Lightning moves it, over an optimizer of one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from holdfast.core.errors import InputError

BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Preview:
    """A whole training of a schedule."""

    rates: list[float]  # of every step
    # "epoch" from 1, "first_lr" and "last_lr" of its steps, "momentum" of the first one, None where it does not move
    epochs: list[dict[str, Any]]
    next_lr: float  # of a step behind the last one


def preview(
    schedule: Callable[..., dict[str, Any]], *, lr: float, momentum: float, max_epochs: int, steps_per_epoch: int
) -> Preview:
    """Move a schedule option through a whole training, from the optimizer's rate and momentum (0: it has none).

    Raises:
        InputError: The schedule refuses its arguments, or goes by what is measured.
    """
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=momentum)
    answer = schedule(optimizer, total_steps=max_epochs * steps_per_epoch, steps_per_epoch=steps_per_epoch)
    if "monitor" in answer:
        raise InputError("schedule", "goes by a val metric, which only training knows", next="another schedule")
    scheduler, group = answer["scheduler"], optimizer.param_groups[0]
    rates, momenta = [], []
    for step in range(1, max_epochs * steps_per_epoch + 1):
        rates.append(float(group["lr"]))
        momenta.append(float(group["momentum"]))
        optimizer.step()
        if answer["interval"] == "step" or step % steps_per_epoch == 0:
            scheduler.step()
    has_momentum = any(value != momentum for value in momenta)
    epochs = []
    for epoch in range(1, max_epochs + 1):
        first, last = (epoch - 1) * steps_per_epoch, epoch * steps_per_epoch - 1
        own = momenta[first] if has_momentum else None
        epochs.append({"epoch": epoch, "first_lr": rates[first], "last_lr": rates[last], "momentum": own})
    return Preview(rates, epochs, float(group["lr"]))


def plot(rates: Sequence[float], *, width: int = 72, height: int = 10) -> list[str]:
    """The rates as lines of text: one column for some steps (their mean), eight levels a line, zero at the bottom."""
    width = min(width, len(rates))
    bounds = [round(column * len(rates) / width) for column in range(width + 1)]
    means = [math.fsum(rates[a:b]) / (b - a) for a, b in pairwise(bounds)]
    most = max(means) or 1.0
    levels = [round(8 * height * mean / most) for mean in means]
    lines = []
    for row in reversed(range(height)):
        label = f"{most * (row + 1) / height:9.3g} |"
        lines.append(label + "".join(BLOCKS[min(8, max(0, level - 8 * row))] for level in levels))
    return [*lines, " " * 10 + "+" + "-" * width]
