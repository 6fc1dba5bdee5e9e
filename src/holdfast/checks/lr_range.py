"""The learning-rate range test (Smith 2017): the rate rises from step to step until the loss does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.checks.run import check
from holdfast.checks.subject import Batch, Subject, plain_number
from holdfast.checks.verdict import Verdict, skipped

SMOOTHING = 0.9
DIVERGED = 4.0
MARKED_DROP = 0.05
SKIPPED_STEPS = 5
MUCH_LARGER, MUCH_SMALLER = 3.0, 1e-3


@check
def lr_range(subject: Subject, *, least: float = 1e-6, most: float = 10.0, num_steps: int = 100) -> Verdict:
    """Train on a copy while the rate rises exponentially, with the optimizer of the run.

    Three rates are suggested: where the smoothed loss falls steepest, in the middle of its longest fall (the valley),
    and a tenth of the rate with the least loss. The advice is the least of them.

    Args:
        subject: The experiment.
        least: The first rate.
        most: The last one.
        num_steps: From one to the other.
    """
    if str(subject.config.optimizer._target_).endswith("LBFGS"):
        return skipped("lr_range", "lbfgs finds its steps by itself")
    rates, losses = _curve(subject, least, most, num_steps)
    evidence: dict[str, Any] = {
        "curve": [[plain_number(r), plain_number(v)] for r, v in zip(rates, losses, strict=True)]
    }
    if len(losses) < 2 * SKIPPED_STEPS:
        cause = f"the loss is not a number or explodes after {len(losses)} steps, at rates near {least:g}"
        return Verdict("lr_range", "doubtful", evidence, (cause,), "check=mistakes names the place")
    suggested = suggestions(np.array(rates), np.array(losses))
    own = float(subject.config.lr)
    advised = min(suggested.values())
    evidence = {
        "lr": own,
        **{name: plain_number(rate) for name, rate in suggested.items()},
        "advised": plain_number(advised),
    } | evidence
    drop = 1.0 - min(losses) / losses[0] if losses[0] > 0 else math.nan
    if drop < MARKED_DROP:
        cause = f"no rate from {least:g} to {most:g} makes the loss fall markedly within {num_steps} steps"
        return Verdict(
            "lr_range", "doubtful", evidence, (cause,), "check=mistakes and check=overfit_tiny look for bugs"
        )
    if own > MUCH_LARGER * suggested["tenth_of_minimum"] * 10:
        cause = f"lr is {own:g}, and the loss rises again above {10 * suggested['tenth_of_minimum']:.2g}"
        return Verdict("lr_range", "doubtful", evidence, (cause,), f"lr={advised:.1e}")
    if own < MUCH_SMALLER * advised:
        cause = f"lr is {own:g}, and the loss falls best at {advised:.2g}"
        return Verdict("lr_range", "doubtful", evidence, (cause,), f"lr={advised:.1e}")
    return Verdict("lr_range", "pass", evidence)


def suggestions(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> dict[str, float]:
    """Rates by three rules, from a smoothed curve of at least a few steps."""
    logs = np.log(rates)
    slopes = np.gradient(losses, logs)
    lowest = int(losses.argmin())
    falling = slopes[: max(lowest, 1)]
    start, end = _longest_fall(losses)
    middle = start + 2 * (end - start) // 3
    return {
        "steepest": float(rates[int(falling.argmin())]),
        "valley": float(rates[middle]),
        "tenth_of_minimum": float(rates[lowest] / 10),
    }


def _longest_fall(losses: NDArray[np.float64]) -> tuple[int, int]:
    """First and last place of the longest stretch on which the loss falls from step to step."""
    best, first = (0, 0), 0
    for place in range(1, len(losses)):
        if losses[place] >= losses[place - 1]:
            first = place
        elif place - first > best[1] - best[0]:
            best = first, place
    return best


def _curve(subject: Subject, least: float, most: float, num_steps: int) -> tuple[list[float], list[float]]:
    """Rates and smoothed losses, until the loss is several times the least one."""
    module: Any = subject.module()
    optimizer = module.make_optimizer(module.model)
    shares = [group["lr"] / float(subject.config.lr) for group in optimizer.param_groups]
    batches = _batches(subject)
    rates, losses, average = list[float](), list[float](), 0.0
    for step in range(num_steps):
        rate = least * (most / least) ** (step / (num_steps - 1))
        for group, share in zip(optimizer.param_groups, shares, strict=True):
            group["lr"] = rate * share
        loss = module.training_step(next(batches), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module.train_metrics.reset()
        value = float(loss.detach())
        average = SMOOTHING * average + (1 - SMOOTHING) * value
        smooth = average / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(smooth) or (losses and smooth > DIVERGED * max(min(losses), 1e-12)):
            break
        rates.append(rate)
        losses.append(smooth)
    return rates, losses


def _batches(subject: Subject) -> Iterator[Batch]:
    """Train batches for ever, epoch after epoch."""
    loader = subject.datamodule.train_dataloader()
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)
        yield from loader
