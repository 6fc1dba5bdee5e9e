"""The outputs that a loss wants, found by asking it: logits, probabilities, their logarithms, or values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.core.tasks import Task
from holdfast.losses import Loss

# "unit": outputs that are best at 0 and 1, whatever they come from, as a squared error of one-hot targets
Wants = Literal["logits", "probabilities", "log-probabilities", "unit", "values"]
NUM_ROWS = 32
SAME = 1e-5
NUM_STEPS = 60
STRENGTHS = (2.0, 3.0, 5.0, 8.0, 13.0, 30.0)


class Best(NamedTuple):
    """Outputs that make a loss least."""

    outputs: Tensor
    least: float


@dataclass(frozen=True)
class LossTrial:
    """A loss with targets of a task, and outputs that would be right or wrong for them."""

    loss: Loss  # of outputs and targets as the module hands them over
    task: Task  # of the run
    y: Tensor  # made-up targets: int64 (n,) for classes, else float
    num_outputs: int  # outputs for one row
    wants: Wants = "logits"  # what the loss takes outputs for
    scale: float = 1.0  # the loss of random outputs, at most 1: smaller differences than a hundred-thousandth are none

    def is_same(self, first: float, other: float) -> bool:
        """Tell whether two losses differ by no more than rounding."""
        return abs(first - other) <= SAME * max(self.scale, abs(first), abs(other))

    def is_less(self, first: float, other: float) -> bool:
        """Tell whether a loss is less than another one, by more than rounding."""
        return first < other and not self.is_same(first, other)

    def value(self, outputs: Tensor, y: Tensor | None = None) -> float:
        """The loss as a number; NaN where it refuses the outputs."""
        try:
            return float(self.loss(outputs, self.y if y is None else y).detach())
        except (RuntimeError, ValueError):
            return math.nan

    def slope(self, outputs: Tensor) -> Tensor | None:
        """The gradient of the loss by the outputs; None where there is no way from one to the other."""
        outputs = outputs.requires_grad_()
        value = self.loss(outputs, self.y)
        if not value.requires_grad:
            return None
        return torch.autograd.grad(value, outputs, allow_unused=True)[0]

    def right(self, strength: float, shift: int = 0) -> Tensor:
        """Outputs that say the right class, or one that lies `shift` further, with a strength in logits."""
        if self.task.is_values:
            return self.y.clone()
        if self.task.is_softmax:
            places = (self.y + shift) % self.num_outputs
            logits = strength * functional.one_hot(places, self.num_outputs).float()
        else:
            logits = strength * (2.0 * self.y - 1.0)
        return self.as_wanted(logits)

    def as_wanted(self, logits: Tensor) -> Tensor:
        """Logits as what the loss wants."""
        if self.wants == "probabilities":
            probabilities: Tensor = self.task.probabilities(logits)
            return probabilities.clamp(1e-6, 1 - 1e-6)
        return logits.log_softmax(dim=1) if self.wants == "log-probabilities" else logits

    def best(self) -> Best:
        """Outputs that make the loss least, found by going down its slope from random ones.

        They are logits, of which the loss is handed what it wants.
        """
        generator = torch.Generator().manual_seed(0)
        shape = (len(self.y), *self.task.row_shape(self.num_outputs))
        logits = (0.1 * torch.randn(shape, generator=generator)).requires_grad_()
        optimizer = torch.optim.Adam([logits], lr=0.5)
        least = math.inf
        for _ in range(NUM_STEPS):
            loss = self.loss(self.as_wanted(logits), self.y)
            if not loss.requires_grad or not bool(loss.isfinite()):
                break
            least = min(least, float(loss.detach()))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return Best(logits.detach(), least)

    def share_right(self, logits: Tensor) -> float:
        """The share of rows, or of labels, of which outputs say what their targets say."""
        if self.task.is_softmax:
            return float((logits.argmax(dim=1) == self.y).float().mean())
        middle = 0.5 if self.wants == "unit" else 0.0
        return float(((logits > middle) == (self.y > 0.5)).float().mean())

    def some(self, scale: float = 1.0) -> Tensor:
        """Random outputs, always the same."""
        generator = torch.Generator().manual_seed(0)
        shape = (len(self.y), *self.task.row_shape(self.num_outputs))
        return self.as_wanted(scale * torch.randn(shape, generator=generator))


def trial_of(loss: Loss, task: Task, num_outputs: int) -> LossTrial:
    """Make targets up, and find out what the loss wants of outputs."""
    generator = torch.Generator().manual_seed(1)
    if task.is_values:
        y = torch.randn((NUM_ROWS, *task.row_shape(num_outputs)), generator=generator)
        return _scaled(LossTrial(loss, task, y, num_outputs, "values"))
    if task.is_softmax:
        y = torch.arange(max(NUM_ROWS, 2 * num_outputs)) % num_outputs
        y = y[torch.randperm(len(y), generator=generator)]
    else:
        y = torch.randint(2, (NUM_ROWS, *task.row_shape(num_outputs)), generator=generator).float()
    trial = LossTrial(loss, task, y, num_outputs)
    return _scaled(replace(trial, wants=_wants(trial)))


def _scaled(trial: LossTrial) -> LossTrial:
    value = abs(trial.value(trial.some()))
    return replace(trial, scale=min(1.0, value) if 0 < value < math.inf else 1.0)


def _wants(trial: LossTrial) -> Wants:
    outputs = trial.some(3.0)
    if not math.isfinite(trial.value(outputs)):
        return "probabilities"
    exact = functional.one_hot(trial.y, trial.num_outputs).float() if trial.task.is_softmax else trial.y
    at_exact = trial.value(exact)
    least = min(trial.value(trial.right(strength)) for strength in STRENGTHS)
    if not trial.task.is_softmax:
        return "unit" if at_exact <= least + 1e-6 else "logits"
    # a loss that is blind to the outputs of other classes leaves it to the model to normalise them
    others = outputs + (1.0 - exact) * outputs.flip(0)
    if abs(trial.value(others) - trial.value(outputs)) < 1e-6:
        return "probabilities" if abs(at_exact) < 1e-3 else "log-probabilities"
    # so does one that falls for ever with free outputs and never below 0 with normalised ones, as with label smoothing
    free, far = 1e2 * exact, 1e4 * exact
    if trial.value(far) < 2 * trial.value(free) < 0 <= trial.value(far.log_softmax(dim=1)):
        return "log-probabilities"
    chance = trial.value(torch.zeros_like(exact))
    return "unit" if at_exact < min(least - 1e-6, 0.5 * abs(chance)) else "logits"
