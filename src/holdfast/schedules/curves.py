"""A scheduler from a curve: warm-up in front of it, momentum beside it, and Lightning's dictionary around it.

There are two kinds of curves and one warm-up of w optimizer steps (t counts the steps of the training from 0):

* A curve over epochs keeps the training's own count of epochs, which starts at 1; a warm-up multiplies it by
  min(1, (t + 1) / (w + 1)) (as in Goyal et al. 2017, section 2.2). It moves per epoch; with a warm-up per step.
* A curve over steps spreads over the T - w steps that a warm-up (t + 1) / (w + 1) leaves it, and moves per step.

Either way the curve has its full value for the first time in step t = w.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from holdfast.core.errors import InputError, require

# `5epochs`, `500steps`, a share of the training as in 0.1, or None
Warmup = str | float | None
_WITH_UNIT = re.compile(r"(?P<number>\d+(\.\d*)?|\.\d+) ?(?P<unit>epoch|step)s?")


class Schedule(Protocol):
    """A schedule option; one that names `monitor` and `mode` is handed the run's."""

    def __call__(self, optimizer: Optimizer, *, total_steps: int, steps_per_epoch: int) -> dict[str, Any]:
        """Build the scheduler.

        Args:
            optimizer: Its rates are what the factors multiply.
            total_steps: Optimizer steps of the whole training.
            steps_per_epoch: Optimizer steps of one epoch.
        """
        ...


@dataclass(frozen=True)
class Training:
    """The arguments that schedules share.

    Attributes:
        optimizer: Its rates are multiplied.
        total_steps: Optimizer steps of the whole training.
        steps_per_epoch: Optimizer steps of one epoch.
        warmup: How long the rate rises at first.
        momentum: That of the first and of the last epoch; None leaves it alone.
    """

    optimizer: Optimizer
    total_steps: int
    steps_per_epoch: int
    warmup: Warmup
    momentum: Sequence[float] | None


class RateAndMomentum(LambdaLR):
    """Factors of the rate, and the momentum of every step."""

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float], momentum: Callable[[int], float]) -> None:
        self._momentum = momentum
        super().__init__(optimizer, factor)

    def step(self, epoch: int | None = None) -> None:
        """Set rate and momentum of what comes next."""
        super().step(epoch)
        for group in self.optimizer.param_groups:
            if "momentum" in group:
                group["momentum"] = self._momentum(self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Plain values: the functions are built again from the config."""
        return {key: value for key, value in super().state_dict().items() if key != "_momentum"}


def by_epoch(training: Training, curve: Callable[[int], float]) -> dict[str, Any]:
    """The scheduler of a factor that depends on the epoch, 1, 2, ..."""
    num_warmup_steps = warmup_steps(training)
    if not num_warmup_steps:
        return _scheduler(training, lambda index: curve(index + 1), "epoch")

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / (num_warmup_steps + 1)) * curve(step // training.steps_per_epoch + 1)

    return _scheduler(training, factor, "step")


def by_step(training: Training, curve: Callable[[int, int], float]) -> dict[str, Any]:
    """The scheduler of a factor that depends on step t of T, both without the warm-up."""
    num_warmup_steps = warmup_steps(training)

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return (step + 1) / (num_warmup_steps + 1)
        return curve(step - num_warmup_steps, training.total_steps - num_warmup_steps)

    return _scheduler(training, factor, "step")


def warmup_steps(training: Training) -> int:
    """Whole steps of the warm-up.

    Raises:
        InputError: It has no unit, or is not shorter than the training.
    """
    warmup = training.warmup
    match = _WITH_UNIT.fullmatch(str(warmup))
    if match is not None:
        length = float(match["number"]) * (training.steps_per_epoch if match["unit"] == "epoch" else 1)
    elif warmup is None or (not isinstance(warmup, str) and 0.0 <= warmup < 1.0):
        length = (warmup or 0.0) * training.total_steps
    else:
        allowed = "epochs as in 5epochs, steps as in 500steps, a share of the training as in 0.1, or null"
        is_count = not isinstance(warmup, str) and warmup >= 1.0
        hint = f"did you mean '{warmup}epochs' or '{warmup}steps'?" if is_count else ""
        raise InputError("schedule.warmup", f"is {warmup}", allowed, hint)
    if round(length) >= training.total_steps:
        problem = f"is {warmup}, that is {round(length)} steps"
        raise InputError(
            "schedule.warmup", problem, allowed=f"fewer than the {training.total_steps} steps of the training"
        )
    return round(length)


def half_cosine(start: float, end: float, progress: float) -> float:
    """Half a cosine from `start` to `end` as `progress` goes from 0 to 1; `end` behind that."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def _scheduler(
    training: Training, factor: Callable[[int], float], interval: Literal["step", "epoch"]
) -> dict[str, Any]:
    scheduler = LambdaLR(training.optimizer, factor)
    if training.momentum is not None:
        scheduler = RateAndMomentum(training.optimizer, factor, _momentum_of_move(training, interval))
    return {"scheduler": scheduler, "interval": interval, "frequency": 1, "name": "lr"}


def _momentum_of_move(training: Training, interval: Literal["step", "epoch"]) -> Callable[[int], float]:
    """Linear from the first value in epoch 1 to the second in the last epoch (CS231n: 0.5 to 0.99)."""
    ends = list(training.momentum or ())
    is_right = len(ends) == 2 and all(0.0 < end < 1.0 for end in ends)
    require(is_right, "schedule.momentum", ends, "two numbers, 0 < momentum < 1")
    if not any(group.get("momentum") for group in training.optimizer.param_groups):
        problem = f"is {ends}, but the optimizer ({type(training.optimizer).__name__}) has no momentum"
        next_step = "optimizer=momentum or nesterov; the betas of Adam and its kin are none: they correct a bias"
        raise InputError("schedule.momentum", problem, allowed="null", next=next_step)
    num_epochs = -(-training.total_steps // training.steps_per_epoch)
    moves_per_epoch = 1 if interval == "epoch" else training.steps_per_epoch

    def momentum(move: int) -> float:
        progress = min(1.0, move // moves_per_epoch / max(1, num_epochs - 1))
        return ends[0] + (ends[1] - ends[0]) * progress

    return momentum
