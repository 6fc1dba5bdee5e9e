"""The outputs of a model: raw, or squashed to probabilities that the loss does not want."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from holdfast.checks.probes.autograd import reduces_over_rows
from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.probes.loss_words import LossTrial, trial_of
from holdfast.checks.subject import Subject, outputs_of, plain_number, seeded_outputs, trainable

NUM_ROWS = 32
FACTORS = (1.0, 3.0, -3.0, 10.0)
NEAR = 1e-3
NOISE = 1e-6
NEARLY = 0.01  # logarithms of probabilities that a small number was added to
FAR = 0.2
WIDE = 2.0  # standardised targets go further
FAR_FROM_TARGETS = 10.0
MOST_ROUNDED = 2.0**20  # larger numbers are whole in single precision
UNLIKE = {"log-probabilities": "not_log_probabilities", "probabilities": "not_probabilities"}


def output_mistakes(subject: Subject) -> Iterator[Finding]:
    """Outputs that do not fit what the loss wants."""
    task = subject.task
    by_factor = {} if task.is_rows else _outputs_by_weights(subject)
    if not by_factor:
        return
    outputs = torch.stack(list(by_factor.values()))
    trial = trial_of(subject.module()._loss, task, subject.num_outputs)
    if task.is_flat and not task.is_values and bool((outputs == 1).all()):
        yield finding("softmax_of_one_output")
        return
    if float(outputs.std()) >= 1e-9 and trial.wants != "unit":
        yield from _unlike(by_factor, trial)


def _unlike(by_factor: dict[float, Tensor], trial: LossTrial) -> Iterator[Finding]:
    """The first of what makes outputs unlike those that the loss wants."""
    task, outputs = trial.task, torch.stack(list(by_factor.values()))
    numbers = {"least_output": plain_number(outputs.min()), "largest_output": plain_number(outputs.max())}
    is_unit = bool((outputs >= 0).all() and (outputs <= 1 + NEAR).all())
    has_columns = not (task.is_flat or task.is_values)
    is_logarithm = has_columns and _is_near(next(iter(by_factor.values())).logsumexp(dim=-1), 0.0, NEARLY)
    sums_to_one = has_columns and is_unit and _is_near(outputs.sum(dim=-1), 1.0)
    if torch.equal(outputs, outputs.round()) and float(outputs.abs().max()) < MOST_ROUNDED:
        yield finding("outputs_rounded", numbers)
    elif task.is_softmax and not sums_to_one and _is_softmax_over_rows(outputs):
        yield finding("softmax_over_batch", place="model")
    elif has_columns and _is_one_column(outputs):
        yield finding("outputs_equal", numbers, columns="classes" if task.is_softmax else "labels")
    elif (is_logarithm or (sums_to_one and trial.wants == "probabilities")) and _is_squashed_twice(outputs):
        how = "in the model: however large its weights, no class has a probability near one"
        yield finding("second_softmax", numbers, how=how)
    elif trial.wants in UNLIKE:
        if not (is_logarithm if trial.wants == "log-probabilities" else is_unit):
            yield finding(UNLIKE[trial.wants], numbers)
    elif sums_to_one:
        yield finding("probabilities_as_logits", numbers)
    elif not is_logarithm:
        yield from _squashed(by_factor, trial, numbers, is_unit=is_unit)


def _is_one_column(outputs: Tensor) -> bool:
    """Tell whether outputs differ from row to row, and by the same in all columns."""
    deviations, noise = outputs - outputs.mean(dim=1, keepdim=True), NOISE * float(outputs.abs().max())
    return float(deviations.std(dim=-1).max()) <= noise < float(deviations.abs().max())


def _is_softmax_over_rows(outputs: Tensor) -> bool:
    return _is_near(outputs.sum(dim=-2), 1.0) or _is_near(outputs.logsumexp(dim=-2), 0.0)


def _is_squashed_twice(outputs: Tensor) -> bool:
    """Tell whether probabilities go as far as those of a softmax of probabilities, e / (e + C - 1), and no further."""
    largest = float(outputs.max() if bool((outputs >= 0).all()) else outputs.exp().max())
    limit = math.e / (math.e + outputs.shape[-1] - 1)
    return 0.95 * limit < largest < limit + NEAR


def _squashed(
    by_factor: dict[float, Tensor], trial: LossTrial, numbers: dict[str, float], *, is_unit: bool
) -> Iterator[Finding]:
    task, outputs = trial.task, torch.stack(list(by_factor.values()))
    wanted = "targets are standardised values on both sides of 0" if task.is_values else "the loss wants logits"
    # logits of several classes may all have one sign, as long as they differ
    has_one_sign = not task.is_softmax or float((outputs == 0).float().mean()) > 0.02
    if task.is_values and float(outputs.abs().min()) > FAR_FROM_TARGETS:
        yield finding("outputs_in_other_units", {"mean": plain_number(outputs.mean())})
    elif is_unit and float(outputs.max() - outputs.min()) > 0.3:
        yield finding("sigmoid_outputs", numbers, wanted=wanted)
    elif has_one_sign and bool((outputs >= 0).all()):
        yield finding("relu_outputs", numbers, sign="negative", wanted=wanted)
    elif has_one_sign and bool((outputs <= 0).all()):
        yield finding("relu_outputs", numbers, sign="positive", wanted=wanted)
    elif task.is_softmax and _is_near(outputs.norm(dim=-1), 1.0) and _is_too_narrow(trial, 0.5):
        yield finding("outputs_normalised", numbers)
    elif _is_bounded(by_factor) and _is_too_narrow(trial, float(outputs.abs().max())):
        yield finding("outputs_bounded", numbers, wanted=wanted)


def _is_bounded(by_factor: dict[float, Tensor]) -> bool:
    """Tell whether outputs of larger weights go no further than others."""
    if not {3.0, 10.0} <= by_factor.keys():
        return False
    near, far = (float(by_factor[factor].abs().max()) for factor in (3.0, 10.0))
    return far <= (1.0 + NEARLY) * near


def _is_too_narrow(trial: LossTrial, bound: float) -> bool:
    """Tell whether outputs on both sides of 0 that go no further than a bound leave the loss far from its least."""
    if trial.task.is_values:
        return bound < WIDE
    chance = trial.value(torch.zeros_like(trial.some()))
    return trial.value(trial.right(2 * bound if trial.task.is_softmax else bound)) > FAR * abs(chance)


@torch.no_grad()
def _outputs_by_weights(subject: Subject) -> dict[float, Tensor]:
    """(rows, outputs) in eval mode by a factor of the weights: as they are, larger, and of the other sign.

    Weights whose outputs overflow are left out.
    """
    by_factor = {}
    for factor in FACTORS:
        module, inputs, _ = subject.start(NUM_ROWS)
        for parameter in trainable(module.model).values():
            parameter.add_(0.01 * torch.randn_like(parameter)).mul_(factor)
        outputs = seeded_outputs(module.eval(), inputs).float()
        if bool(outputs.isfinite().all()):
            by_factor[factor] = outputs
    return by_factor


def _is_near(values: Tensor, wanted: float, distance: float = NEAR) -> bool:
    return math.isfinite(float(values.sum())) and float((values - wanted).abs().max()) < distance


def softmax_over_rows(subject: Subject) -> bool:
    """Tell whether a softmax of the model goes over the rows of a batch."""
    module, inputs, _ = subject.start(4)
    return reduces_over_rows(outputs_of(module, inputs))
