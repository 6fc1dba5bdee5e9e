"""Schedules over the whole training: the rate of a step as a factor of the optimizer's own rate.

t counts the steps from 0 and T is the number of steps, both after the warm-up. All but `one_cycle`, which brings its
own rise, share `warmup_epochs`, `warmup_steps` and `warmup_fraction` (at most one of them); all share `momentum`.
`holdfast.schedules.warmup` explains these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch

from holdfast.core.errors import InputError
from holdfast.schedules.warmup import Plan, in_range, over_training


def linear(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    final_factor: float = 0.0,
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """A straight line from 1 to `final_factor`: 1 - (1 - final_factor) t / T.

    Raises:
        InputError: `final_factor` is not in [0, 1].
    """
    _check_final(final_factor)
    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    return over_training(plan, lambda step, num_steps: 1.0 - (1.0 - final_factor) * min(1.0, step / num_steps))


def cosine(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    final_factor: float = 0.0,
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Half a cosine from 1 to `final_factor` (Loshchilov and Hutter 2017, equation 5, one cycle).

    final + (1 - final) (1 + cos(pi t / T)) / 2.

    Raises:
        InputError: `final_factor` is not in [0, 1].
    """
    _check_final(final_factor)
    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    return over_training(plan, lambda step, num_steps: _half_cosine(1.0, final_factor, step / num_steps))


def cosine_restarts(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    first_cycle_epochs: float = 10.0,
    cycle_multiplier: int = 2,
    final_factor: float = 0.0,
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Cosines that start again (SGDR; Loshchilov and Hutter 2017, equation 5), each cycle longer than the last.

    In step t of a cycle of T_i steps: final + (1 - final) (1 + cos(pi t / T_i)) / 2;
    T_(i+1) = `cycle_multiplier` T_i.

    Raises:
        InputError: `final_factor` is not in [0, 1], a cycle has no step, or `cycle_multiplier` is below 1.
    """
    _check_final(final_factor)
    first = round(first_cycle_epochs * steps_per_epoch) if math.isfinite(first_cycle_epochs) else 0
    if first < 1:
        raise InputError("schedule.first_cycle_epochs", f"is {first_cycle_epochs}", allowed="at least one step")
    if cycle_multiplier < 1:
        raise InputError("schedule.cycle_multiplier", f"is {cycle_multiplier}", allowed="whole numbers from 1")

    def curve(step: int, num_steps: int) -> float:
        length = first
        while step >= length:
            step, length = step - length, length * cycle_multiplier
        return _half_cosine(1.0, final_factor, step / length)

    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    return over_training(plan, curve)


def one_cycle(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    rise_fraction: float = 0.3,
    initial_factor: float = 0.04,
    final_factor: float = 4e-6,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """One cycle of half cosines: up to the full rate, then far down (Smith and Topin 2018; torch's OneCycleLR).

    With p = rise_fraction T - 1: from `initial_factor` to 1 in steps 0 to p, to `final_factor` in steps p to T - 1.
    torch gives the lowest rate as a share of the initial one: 1e-4 of 0.04.

    Raises:
        InputError: A factor is not in [0, 1], or the rise does not leave a step on either side of it.
    """
    _check_final(final_factor)
    in_range("schedule", "initial_factor", initial_factor, least=0.0, most=1.0, text="0 <= initial_factor <= 1")
    peak = rise_fraction * total_steps - 1.0
    if not 0.0 < peak < total_steps - 1.0:
        what = f"is {rise_fraction}, of {total_steps} steps"
        raise InputError("schedule.rise_fraction", what, allowed="a rise of more than one step, and not all of them")

    def curve(step: int, num_steps: int) -> float:
        if step <= peak:
            return _half_cosine(initial_factor, 1.0, step / peak)
        return _half_cosine(1.0, final_factor, (step - peak) / (num_steps - 1.0 - peak))

    return over_training(Plan.of(optimizer, total_steps, steps_per_epoch, (None, None, None), momentum), curve)


def wsd(
    optimizer: torch.optim.Optimizer,
    *,
    total_steps: int,
    steps_per_epoch: int,
    decay_fraction: float = 0.2,
    final_factor: float = 0.0,
    shape: Literal["linear", "sqrt"] = "linear",
    warmup_epochs: float | None = None,
    warmup_steps: int | None = None,
    warmup_fraction: float | None = None,
    momentum: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Warm-up, stable, decay (Hu et al. 2024, section 4.2): down over the last `decay_fraction` of all steps.

    With p from 0 to 1 over the decay: 1 - (1 - final) p for `linear`, 1 - (1 - final) sqrt(p) for `sqrt` (Hagele et
    al. 2024, section 3). The warm-up is the one all schedules share.

    Raises:
        InputError: `final_factor` is not in [0, 1], or the decay and the warm-up are longer than the training.
    """
    _check_final(final_factor)
    in_range("schedule", "decay_fraction", decay_fraction, least=0.0, most=1.0, text="0 <= decay_fraction <= 1")
    decay = round(decay_fraction * total_steps)

    def curve(step: int, num_steps: int) -> float:
        if step < num_steps - decay:
            return 1.0
        progress = min(1.0, (step - (num_steps - decay)) / max(1, decay))
        return 1.0 - (1.0 - final_factor) * (progress if shape == "linear" else math.sqrt(progress))

    plan = Plan.of(optimizer, total_steps, steps_per_epoch, (warmup_epochs, warmup_steps, warmup_fraction), momentum)
    if decay + plan.warmup > total_steps:
        what = f"is {decay_fraction}, that is {decay} steps after {plan.warmup} of warm-up"
        raise InputError("schedule.decay_fraction", what, allowed=f"at most {total_steps} steps together")
    return over_training(plan, curve)


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def _check_final(final_factor: float) -> None:
    in_range("schedule", "final_factor", final_factor, least=0.0, most=1.0, text="0 <= final_factor <= 1")
