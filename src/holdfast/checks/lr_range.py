"""The learning-rate range test (Smith 2017): the rate rises from step to step until the loss does."""

from __future__ import annotations

import math
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from holdfast.checks.run import check, subject_of, untouched
from holdfast.checks.subject import Subject, plain_number
from holdfast.checks.verdict import Verdict, skipped
from holdfast.core.errors import RunFailed

if TYPE_CHECKING:
    from holdfast.core.run_record import RunRecord
    from holdfast.experiment.experiment import Experiment

SMOOTHING = 0.9
DIVERGED = 4.0
MARKED_DROP = 0.05
SKIPPED_STEPS = 10
MUCH_LARGER, MUCH_SMALLER = 3.0, 1e-3


@dataclass(frozen=True)
class RateRange:
    """The losses of a training whose rate rises."""

    rates: list[float]  # of the steps, ascending
    losses: list[float]  # smoothed, after each step
    suggested: dict[str, float]  # rates by the three rules; empty where the loss explodes at once
    problem: str  # the reason why no rate can be advised; empty where one can

    @property
    def advised(self) -> float:
        """The middle one of the suggested rates, to two digits."""
        return float(f"{statistics.median(self.suggested.values()):.1e}")

    def evidence(self, lr: float) -> dict[str, Any]:
        """Numbers for a verdict, the curve last."""
        suggested = {name: plain_number(rate) for name, rate in self.suggested.items()}
        advised = {"advised": self.advised} if suggested else {}
        curve = [[plain_number(r), plain_number(v)] for r, v in zip(self.rates, self.losses, strict=True)]
        return {"lr": lr, **suggested, **advised, "curve": curve}


@check
def lr_range(subject: Subject, *, least: float = 1e-6, most: float = 10.0, num_steps: int = 100) -> Verdict:
    """Train on a copy while the rate rises exponentially, with the optimizer of the run.

    Three rates are suggested: where the smoothed loss falls steepest, in the middle of its longest fall (the valley),
    and a tenth of the rate with the least loss. The advice is the middle one of them.
    """
    if str(subject.config.optimizer._target_).endswith("LBFGS"):
        return skipped("lr_range", "lbfgs finds its steps by itself")
    result, own = rate_range(subject, least, most, num_steps), float(subject.config.lr)
    if result.problem:  # what is hard falls later
        result = rate_range(subject, least, most, 4 * num_steps)
    evidence = result.evidence(own)
    if result.problem:
        advice = "check=mistakes and check=overfit_tiny look for bugs"
        return Verdict("lr_range", "doubtful", evidence, (result.problem,), advice)
    least_loss = 10 * result.suggested["tenth_of_minimum"]
    advice = f"lr={result.advised:g}"
    if own > MUCH_LARGER * least_loss:
        cause = f"lr is {own:g}, and the loss rises again above {least_loss:.2g}"
        return Verdict("lr_range", "doubtful", evidence, (cause,), advice)
    if own < MUCH_SMALLER * result.advised:
        cause = f"lr is {own:g}, and the loss falls best at {result.advised:g}"
        return Verdict("lr_range", "doubtful", evidence, (cause,), advice)
    return Verdict("lr_range", "pass", evidence)


def find_lr(experiment: Experiment, record: RunRecord) -> Verdict:
    """Have an experiment train with the rate that the range advises, and say which one that is (`lr=auto`).

    Raises:
        RunFailed: The loss falls at no rate.
    """
    with subject_of(experiment) as subject, untouched(experiment.config.seed):
        result = rate_range(subject)
    if result.problem:
        raise RunFailed("lr", f"is auto, and {result.problem}", next="lr=NUMBER, or check=mistakes to look for bugs")
    experiment.set_lr(result.advised, record)
    rules = ", ".join(f"{name.replace('_', ' ')} {rate:.2g}" for name, rate in result.suggested.items())
    print(f"holdfast: lr=auto takes {result.advised:g} ({rules})", file=sys.stderr, flush=True)
    return Verdict("lr_range", "pass", result.evidence(result.advised))


def rate_range(subject: Subject, least: float = 1e-6, most: float = 10.0, num_steps: int = 100) -> RateRange:
    """Train a copy while the rate rises from the least to the most; arguments as of `lr_range`."""
    rates, losses = _curve(subject, least, most, num_steps)
    if len(losses) < 2 * SKIPPED_STEPS:
        problem = f"the loss is not a number or explodes after {len(losses)} steps, at rates near {least:g}"
        return RateRange(rates, losses, {}, problem)
    first, *later = losses[SKIPPED_STEPS:]  # the means before are of few batches
    drop = 1.0 - min(later) / first if first > 0 else math.nan
    problem = f"no rate from {least:g} to {most:g} makes the loss fall markedly within {num_steps} steps"
    suggested = suggestions(np.array(rates), np.array(losses))
    return RateRange(rates, losses, suggested, problem if drop < MARKED_DROP else "")


def suggestions(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> dict[str, float]:
    """Rates by three rules, from a smoothed curve of at least a few steps."""
    logs = np.log(rates)
    slopes = np.gradient(losses, logs)
    # the first means are of few batches, and differ as these do
    lowest = SKIPPED_STEPS + int(losses[SKIPPED_STEPS:].argmin())
    falling = slopes[SKIPPED_STEPS : max(lowest, SKIPPED_STEPS + 1)]
    start, end = _longest_fall(losses)
    middle = start + 2 * (end - start) // 3
    return {
        "steepest": float(rates[SKIPPED_STEPS + int(falling.argmin())]),
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
    batches = subject.batches()
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
