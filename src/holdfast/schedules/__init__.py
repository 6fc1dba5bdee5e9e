"""Schedules: how the learning rate, and where asked for the momentum, moves.

Every option is called `schedule(optimizer, *, total_steps, steps_per_epoch)` and gives Lightning's scheduler
dictionary, or a scheduler of torch's own kind. The factors of a scheduler multiply the rates. An option that names
`monitor` and `mode` is handed the run's. Epochs count from 1. In formulas t counts the steps from 0 and T is the number
of steps, both after the warm-up.

All but `plateau`, which goes by what is measured, are curves, and share `warmup` and `momentum`, the values of the
first and of the last epoch. A warm-up is written with its unit: `5epochs`, `500steps`, or a share of the whole training
such as 0.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from holdfast.core.errors import InputError, require
from holdfast.schedules.curves import Curve, Training, half_cosine, scheduled

__all__ = [
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "geometric",
    "inverse_sqrt",
    "inverse_time",
    "linear",
    "multistep",
    "one_cycle",
    "plateau",
    "step",
    "wsd",
]


@scheduled
def constant(training: Training) -> Curve:
    """The rate stays as it is."""
    return Curve("epoch", lambda epoch: 1.0)


@scheduled
def step(training: Training, *, factor: float = 0.5, every_epochs: int = 5) -> Curve:
    """Multiply the rate by `factor` after every `every_epochs` epochs (CS231n: 0.5 every 5, or 0.1 every 20).

    factor ** ((epoch - 1) // every_epochs).
    """
    require(0.0 < factor <= 1.0, "schedule.factor", factor, "0 < factor <= 1")
    require(every_epochs >= 1, "schedule.every_epochs", every_epochs, "whole numbers from 1")
    return Curve("epoch", lambda epoch: factor ** ((epoch - 1) // every_epochs))


@scheduled
def multistep(training: Training, *, epochs: Sequence[int] = (15, 25), factor: float = 0.1) -> Curve:
    """Multiply the rate by `factor` after each of the given epochs.

    factor ** (number of `epochs` that lie before this one); with `epochs=[15, 25]` it drops in epochs 16 and 26.
    """
    require(0.0 < factor <= 1.0, "schedule.factor", factor, "0 < factor <= 1")
    rises = all(early < late for early, late in pairwise([0, *epochs]))
    require(rises, "schedule.epochs", list(epochs), "rising whole numbers from 1")
    return Curve("epoch", lambda epoch: factor ** sum(past < epoch for past in epochs))


@scheduled
def exponential(training: Training, *, k: float = 0.1, unit: Literal["epoch", "step"] = "epoch") -> Curve:
    """Exponential decay in CS231n's form, exp(-k t) ("Annealing the learning rate": alpha = alpha_0 e^(-k t)).

    t is the number of epochs or, with `unit=step`, of steps that are done: the training begins with the full rate.
    """
    require(0.0 <= k < math.inf, "schedule.k", k, "k >= 0")
    first = 1 if unit == "epoch" else 0
    return Curve(unit, lambda count: math.exp(-k * (count - first)))


@scheduled
def inverse_time(training: Training, *, k: float = 0.1, unit: Literal["epoch", "step"] = "epoch") -> Curve:
    """1/t decay, 1 / (1 + k t) (CS231n, "Annealing the learning rate"; TUM, lecture 6, "Learning Rate Decay").

    t is the number of epochs or, with `unit=step`, of steps that are done: the training begins with the full rate.
    (TUM's table, 0.1, 0.05, 0.033, ... for k = 1, numbers its epochs from 0.)
    """
    require(0.0 <= k < math.inf, "schedule.k", k, "k >= 0")
    first = 1 if unit == "epoch" else 0
    return Curve(unit, lambda count: 1.0 / (1.0 + k * (count - first)))


@scheduled
def geometric(training: Training, *, base: float = 0.95) -> Curve:
    """base ** epoch (exponential decay in TUM's form, lecture 6, "Learning Rate Decay": alpha = t^epoch alpha_0).

    The first epoch, which is epoch 1, has the factor `base`.
    """
    require(0.0 < base <= 1.0, "schedule.base", base, "0 < base <= 1")
    return Curve("epoch", lambda epoch: base**epoch)


@scheduled
def inverse_sqrt(training: Training, *, scale: float = 1.0) -> Curve:
    """scale / sqrt(epoch) (TUM, lecture 6, "Learning Rate Decay": alpha = t / sqrt(epoch) alpha_0)."""
    require(0.0 < scale < math.inf, "schedule.scale", scale, "scale > 0")
    return Curve("epoch", lambda epoch: scale / math.sqrt(epoch))


@scheduled
def linear(training: Training, *, final_factor: float = 0.0) -> Curve:
    """A straight line from 1 to `final_factor`: 1 - (1 - final_factor) t / T."""
    _require_share("final_factor", final_factor)
    return Curve("step", lambda step: 1.0 - (1.0 - final_factor) * min(1.0, step / training.num_steps))


@scheduled
def cosine(training: Training, *, final_factor: float = 0.0) -> Curve:
    """Half a cosine from 1 to `final_factor` (Loshchilov and Hutter 2017, equation 5, one cycle).

    final + (1 - final) (1 + cos(pi t / T)) / 2.
    """
    _require_share("final_factor", final_factor)
    return Curve("step", lambda step: half_cosine(1.0, final_factor, step / training.num_steps))


@scheduled
def cosine_restarts(
    training: Training, *, first_cycle_epochs: float = 10.0, cycle_multiplier: int = 2, final_factor: float = 0.0
) -> Curve:
    """Cosines that start again (SGDR; Loshchilov and Hutter 2017, equation 5), each cycle longer than the last.

    In step t of a cycle of T_i steps: final + (1 - final) (1 + cos(pi t / T_i)) / 2;
    T_(i+1) = `cycle_multiplier` T_i.
    """
    _require_share("final_factor", final_factor)
    require(cycle_multiplier >= 1, "schedule.cycle_multiplier", cycle_multiplier, "whole numbers from 1")
    first = round(first_cycle_epochs * training.steps_per_epoch) if math.isfinite(first_cycle_epochs) else 0
    require(first >= 1, "schedule.first_cycle_epochs", first_cycle_epochs, "at least one step")

    def factor(step: int) -> float:
        length = first
        while step >= length:
            step, length = step - length, length * cycle_multiplier
        return half_cosine(1.0, final_factor, step / length)

    return Curve("step", factor)


@scheduled
def one_cycle(
    training: Training, *, rise_fraction: float = 0.3, initial_factor: float = 0.04, final_factor: float = 4e-6
) -> Curve:
    """One cycle of half cosines: up to the full rate, then far down (Smith and Topin 2018; torch's OneCycleLR).

    With p = rise_fraction T - 1: from `initial_factor` to 1 in steps 0 to p, to `final_factor` in steps p to T - 1.
    torch gives the lowest rate as a share of the initial one: 1e-4 of 0.04.
    """
    _require_share("final_factor", final_factor)
    _require_share("initial_factor", initial_factor)
    last = training.num_steps - 1.0
    peak = rise_fraction * training.num_steps - 1.0
    if not 0.0 < peak < last:
        problem = f"is {rise_fraction}, of {training.num_steps} steps"
        raise InputError("schedule.rise_fraction", problem, allowed="a rise of more than one step, and not all of them")

    def factor(step: int) -> float:
        if step <= peak:
            return half_cosine(initial_factor, 1.0, step / peak)
        return half_cosine(1.0, final_factor, (step - peak) / (last - peak))

    return Curve("step", factor)


@scheduled
def wsd(
    training: Training,
    *,
    decay_fraction: float = 0.2,
    final_factor: float = 0.0,
    shape: Literal["linear", "sqrt"] = "linear",
) -> Curve:
    """Warm-up, stable, decay (Hu et al. 2024, section 4.2): down over the last `decay_fraction` of all steps.

    With p from 0 to 1 over the decay: 1 - (1 - final) p for `linear`, 1 - (1 - final) sqrt(p) for `sqrt` (Hagele et
    al. 2024, section 3). The warm-up is the one all schedules share.
    """
    _require_share("final_factor", final_factor)
    _require_share("decay_fraction", decay_fraction)
    num_decay_steps = round(decay_fraction * training.total_steps)
    num_stable_steps = training.num_steps - num_decay_steps
    if num_stable_steps < 0:
        problem = f"is {decay_fraction}, that is {num_decay_steps} steps after {training.num_warmup_steps} of warm-up"
        raise InputError("schedule.decay_fraction", problem, f"at most {training.total_steps} steps together")

    def factor(step: int) -> float:
        progress = min(1.0, max(0, step - num_stable_steps) / max(1, num_decay_steps))
        return 1.0 - (1.0 - final_factor) * (progress if shape == "linear" else math.sqrt(progress))

    return Curve("step", factor)


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
    in a row were not better than the best by the relative `threshold`; `cooldown` epochs after a drop do not count. It
    has no warm-up: there is no best to be better than while the rate rises.
    """
    require(0.0 < factor < 1.0, "schedule.factor", factor, "0 < factor < 1")
    for name, value in {"patience": patience, "threshold": threshold, "cooldown": cooldown, "min_lr": min_lr}.items():
        require(0.0 <= value < math.inf, f"schedule.{name}", value, f"{name} >= 0")
    scheduler = ReduceLROnPlateau(
        optimizer, mode, factor=factor, patience=patience, threshold=threshold, cooldown=cooldown, min_lr=min_lr
    )
    entry = {"scheduler": scheduler, "interval": "epoch", "frequency": 1, "name": "lr"}
    return {**entry, "monitor": monitor, "strict": True}


def _require_share(name: str, value: float) -> None:
    require(0.0 <= value <= 1.0, f"schedule.{name}", value, f"0 <= {name} <= 1")
