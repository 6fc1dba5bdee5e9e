"""A scheduler from a curve: warm-up in front of it, momentum beside it, and Lightning's dictionary around it.

There are two kinds of curves and one warm-up of w optimizer steps (t counts the steps of the training from 0):

* A curve over epochs keeps the training's own count of epochs, which starts at 1; a warm-up multiplies it by
  min(1, (t + 1) / (w + 1)) (as in Goyal et al. 2017, section 2.2). It moves per epoch; with a warm-up per step.
* A curve over steps spreads over the T - w steps that a warm-up (t + 1) / (w + 1) leaves it, and moves per step.

Either way the curve has its full value for the first time in step t = w.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from holdfast.core.errors import InputError, require

# `5epochs`, `500steps`, a share of the training as in 0.1, or None
Warmup = str | float | None
_WITH_UNIT = re.compile(r"(?P<number>\d+(\.\d*)?|\.\d+) ?(?P<unit>epoch|step)s?")


@dataclass(frozen=True)
class Training:
    """The optimizer steps that a curve spreads over; those of the warm-up come first."""

    total_steps: int
    steps_per_epoch: int
    num_warmup_steps: int

    @property
    def num_steps(self) -> int:
        """The steps that the warm-up leaves."""
        return self.total_steps - self.num_warmup_steps


@dataclass(frozen=True)
class Curve:
    """A factor of the rate."""

    unit: Literal["epoch", "step"]  # what it is a function of: the epoch from 1, or the step behind the warm-up from 0
    factor: Callable[[int], float]


def scheduled(curve_of: Callable[..., Curve]) -> Callable[..., dict[str, Any]]:
    """Make a schedule option of a function `(training, *, ...) -> Curve`, with a warm-up and with momentum.

    The option has the arguments of all schedules, those of the function, `warmup` and `momentum`.
    """

    def schedule(
        optimizer: Optimizer,
        *,
        total_steps: int,
        steps_per_epoch: int,
        warmup: Warmup = None,
        momentum: Sequence[float] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        training = Training(total_steps, steps_per_epoch, warmup_steps(warmup, total_steps, steps_per_epoch))
        curve = curve_of(training, **arguments)
        factor, interval = _with_warmup(curve, training)
        if momentum is None:
            scheduler = LambdaLR(optimizer, factor)
        else:
            _check_momentum(momentum, optimizer)
            scheduler = RateAndMomentum(optimizer, factor, _course(momentum, training, interval))
        return {"scheduler": scheduler, "interval": interval, "frequency": 1, "name": "lr"}

    *shared, _ = inspect.signature(schedule, eval_str=True).parameters.values()
    _, *own = inspect.signature(curve_of, eval_str=True).parameters.values()
    parameters = [*shared[:3], *own, *shared[3:]]
    functools.update_wrapper(schedule, curve_of)
    del schedule.__wrapped__  # type: ignore[attr-defined]
    schedule.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    schedule.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return schedule


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


def warmup_steps(warmup: Warmup, total_steps: int, steps_per_epoch: int) -> int:
    """Whole steps of a warm-up.

    Raises:
        InputError: It has no unit, or is not shorter than the training.
    """
    match = _WITH_UNIT.fullmatch(str(warmup))
    if match is not None:
        length = float(match["number"]) * (steps_per_epoch if match["unit"] == "epoch" else 1)
    elif warmup is None or (not isinstance(warmup, str) and 0.0 <= warmup < 1.0):
        length = (warmup or 0.0) * total_steps
    else:
        allowed = "epochs as in 5epochs, steps as in 500steps, a share of the training as in 0.1, or null"
        is_count = not isinstance(warmup, str) and warmup >= 1.0
        hint = f"did you mean '{warmup}epochs' or '{warmup}steps'?" if is_count else ""
        raise InputError("schedule.warmup", f"is {warmup}", allowed, hint)
    if round(length) >= total_steps:
        problem = f"is {warmup}, that is {round(length)} steps"
        raise InputError("schedule.warmup", problem, allowed=f"fewer than the {total_steps} steps of the training")
    return round(length)


def half_cosine(start: float, end: float, progress: float) -> float:
    """Half a cosine from `start` to `end` as `progress` goes from 0 to 1; `end` behind that."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def _with_warmup(curve: Curve, training: Training) -> tuple[Callable[[int], float], Literal["epoch", "step"]]:
    """A curve with its warm-up as a function of the moves of a scheduler, and when it moves."""
    num_warmup_steps = training.num_warmup_steps
    if curve.unit == "epoch" and not num_warmup_steps:
        return lambda move: curve.factor(move + 1), "epoch"

    def factor(step: int) -> float:
        rise = min(1.0, (step + 1) / (num_warmup_steps + 1))
        if curve.unit == "epoch":
            return rise * curve.factor(step // training.steps_per_epoch + 1)
        return rise if step < num_warmup_steps else curve.factor(step - num_warmup_steps)

    return factor, "step"


def _check_momentum(ends: Sequence[float], optimizer: Optimizer) -> None:
    is_right = len(ends) == 2 and all(0.0 < end < 1.0 for end in ends)
    require(is_right, "schedule.momentum", list(ends), "two numbers, 0 < momentum < 1")
    if not any(group.get("momentum") for group in optimizer.param_groups):
        problem = f"is {list(ends)}, but the optimizer ({type(optimizer).__name__}) has no momentum"
        next_step = "optimizer=momentum or nesterov; the betas of Adam and its kin are none: they correct a bias"
        raise InputError("schedule.momentum", problem, allowed="null", next=next_step)


def _course(ends: Sequence[float], training: Training, interval: str) -> Callable[[int], float]:
    """Momentum, linear from the first value in epoch 1 to the second in the last epoch (CS231n: 0.5 to 0.99)."""
    num_epochs = -(-training.total_steps // training.steps_per_epoch)
    moves_per_epoch = 1 if interval == "epoch" else training.steps_per_epoch

    def momentum(move: int) -> float:
        progress = min(1.0, move // moves_per_epoch / max(1, num_epochs - 1))
        return ends[0] + (ends[1] - ends[0]) * progress

    return momentum
