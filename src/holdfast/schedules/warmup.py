"""From a curve to a scheduler: warm-up in front of it, momentum beside it, and Lightning's dictionary around it.

Two kinds of curves, one warm-up of w optimizer steps (t counts the steps of the training from 0):

* A curve over epochs keeps the training's own count of epochs, which starts at 1; a warm-up multiplies it by
  min(1, (t + 1) / (w + 1)) (as in Goyal et al. 2017, section 2.2). It moves per epoch; with a warm-up per step.
* A curve over the whole training spreads over the T - w steps that a warm-up (t + 1) / (w + 1) leaves it, and
  moves per step.

Either way the curve has its full value for the first time in step t = w.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch.optim.lr_scheduler import LambdaLR

from holdfast.core.errors import InputError


class Schedule(Protocol):
    """A schedule option; one that names `monitor` and `mode` is handed the run's."""

    def __call__(self, optimizer: torch.optim.Optimizer, *, total_steps: int, steps_per_epoch: int) -> dict[str, Any]:
        """Build the scheduler.

        Args:
            optimizer: Its rates are what the factors multiply.
            total_steps: Optimizer steps of the whole training.
            steps_per_epoch: Optimizer steps of one epoch.
        """
        ...


class RateAndMomentum(LambdaLR):
    """Factors of the rate, and the momentum of every step."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, factor: Callable[[int], float], momentum: Callable[[int], float]
    ) -> None:
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


@dataclass(frozen=True)
class Plan:
    """What every schedule is told beside its own arguments.

    Attributes:
        optimizer: Its rates are multiplied.
        total_steps: Optimizer steps of the whole training.
        steps_per_epoch: Optimizer steps of one epoch.
        warmup: Steps of warm-up.
        momentum: Of the first and of the last epoch; None leaves it alone.
    """

    optimizer: torch.optim.Optimizer
    total_steps: int
    steps_per_epoch: int
    warmup: int
    momentum: Sequence[float] | None

    @classmethod
    def of(
        cls,
        optimizer: torch.optim.Optimizer,
        total_steps: int,
        steps_per_epoch: int,
        warmup: tuple[float | None, int | None, float | None],
        momentum: Sequence[float] | None,
    ) -> Plan:
        """From the shared arguments; `warmup` in epochs, in steps, and as a share of all steps.

        Raises:
            InputError: The warm-up or the momentum is not possible.
        """
        epochs, steps, fraction = warmup
        length = warmup_length(total_steps, steps_per_epoch, epochs=epochs, steps=steps, fraction=fraction)
        _check_momentum(optimizer, momentum)
        return cls(optimizer, total_steps, steps_per_epoch, length, momentum)


def over_epochs(plan: Plan, curve: Callable[[int], float]) -> dict[str, Any]:
    """The scheduler of a factor that depends on the epoch, 1, 2, ..."""
    if not plan.warmup:
        return _scheduler(plan, lambda index: curve(index + 1), "epoch")

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / (plan.warmup + 1)) * curve(step // plan.steps_per_epoch + 1)

    return _scheduler(plan, factor, "step")


def over_training(plan: Plan, curve: Callable[[int, int], float]) -> dict[str, Any]:
    """The scheduler of a factor that depends on step t of T, both without the warm-up."""

    def factor(step: int) -> float:
        if step < plan.warmup:
            return (step + 1) / (plan.warmup + 1)
        return curve(step - plan.warmup, plan.total_steps - plan.warmup)

    return _scheduler(plan, factor, "step")


def warmup_length(
    total_steps: int, steps_per_epoch: int, *, epochs: float | None, steps: int | None, fraction: float | None
) -> int:
    """Steps of warm-up from at most one of three units; 0 when none is given.

    Raises:
        InputError: Two units are given, the length is negative, or it is not shorter than the training.
    """
    lengths = {"warmup_epochs": epochs, "warmup_steps": steps, "warmup_fraction": fraction}
    given = {name: value for name, value in lengths.items() if value is not None}
    if len(given) > 1:
        raise InputError("schedule", f"{' and '.join(given)} are given together", allowed="one of the three units")
    units = {"warmup_epochs": steps_per_epoch, "warmup_steps": 1, "warmup_fraction": total_steps}
    for name, value in given.items():
        in_range("schedule", name, value, least=0.0, text=f"0 to {total_steps - 1} steps")
        length = round(value * units[name])
        if length >= total_steps:
            raise InputError(
                f"schedule.{name}", f"is {value}, that is {length} steps", allowed=f"0 to {total_steps - 1} steps"
            )
        return length
    return 0


def in_range(
    group: str, name: str, value: float, *, least: float = float("-inf"), most: float = float("inf"), text: str
) -> None:
    """Refuse a number that is below `least`, above `most`, infinite or NaN.

    Raises:
        InputError: With `text` as what is allowed.
    """
    if not (least <= value <= most and abs(value) < float("inf")):
        raise InputError(f"{group}.{name}", f"is {value}", allowed=text)


def _check_momentum(optimizer: torch.optim.Optimizer, ends: Sequence[float] | None) -> None:
    if ends is None:
        return
    if len(ends) != 2 or not all(0.0 < end < 1.0 for end in ends):
        raise InputError("schedule.momentum", f"is {list(ends)}", allowed="two numbers, 0 < momentum < 1")
    if not any(group.get("momentum") for group in optimizer.param_groups):
        what = f"is {list(ends)}, but the optimizer ({type(optimizer).__name__}) has no momentum"
        next_step = "optimizer=momentum or nesterov; the betas of Adam and its kin are none: they correct a bias"
        raise InputError("schedule.momentum", what, allowed="null", next=next_step)


def _momentum_in(epoch: int, ends: Sequence[float], num_epochs: int) -> float:
    """Linear from the first value in epoch 1 to the second in the last epoch (CS231n: 0.5 to 0.99)."""
    progress = min(1.0, (epoch - 1) / max(1, num_epochs - 1))
    return ends[0] + (ends[1] - ends[0]) * progress


def _scheduler(plan: Plan, factor: Callable[[int], float], interval: Literal["step", "epoch"]) -> dict[str, Any]:
    if plan.momentum is None:
        scheduler = LambdaLR(plan.optimizer, factor)
    else:
        ends, moves_per_epoch = plan.momentum, 1 if interval == "epoch" else plan.steps_per_epoch
        num_epochs = -(-plan.total_steps // plan.steps_per_epoch)
        scheduler = RateAndMomentum(
            plan.optimizer, factor, lambda move: _momentum_in(move // moves_per_epoch + 1, ends, num_epochs)
        )
    return {"scheduler": scheduler, "interval": interval, "frequency": 1, "name": "lr"}
