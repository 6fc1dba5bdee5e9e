"""The outputs of a model: raw, or squashed to probabilities that the loss does not want."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from holdfast.checks.probes.autograd import reduces_over_rows
from holdfast.checks.probes.finding import Finding
from holdfast.checks.probes.loss_words import LossTrial, Wants, trial_of
from holdfast.checks.subject import Subject, outputs_of, seeded_outputs, trainable
from holdfast.core.tasks import Task

NUM_ROWS = 32
FACTORS = (1.0, 3.0, -3.0, 10.0)
NEAR = 1e-3
FAR = 0.2
FAR_FROM_TARGETS = 10.0


def output_mistakes(subject: Subject) -> Iterator[Finding]:
    """Outputs that do not fit what the loss wants."""
    if subject.task.is_rows:
        return
    outputs = _outputs_by_weights(subject)
    trial = trial_of(subject.module()._loss, subject.task, subject.num_outputs)
    wants = trial.wants
    if subject.task.is_flat and not subject.task.is_values and bool((outputs == 1).all()):
        cause = "a softmax over one output is always 1, whatever the row"
        yield Finding("softmax_of_one_output", "fail", cause, "leave the softmax out: the loss wants one logit")
        return
    if not len(outputs) or float(outputs.std()) < 1e-9 or wants == "unit":
        return
    numbers = {"least_output": float(f"{outputs.min():.4g}"), "largest_output": float(f"{outputs.max():.4g}")}
    is_unit = bool((outputs >= 0).all() and (outputs <= 1 + NEAR).all())
    has_columns = not (subject.task.is_flat or subject.task.is_values)
    is_logarithm = has_columns and _is_near(outputs.logsumexp(dim=-1), 0.0)
    sums_to_one = has_columns and is_unit and _is_near(outputs.sum(dim=-1), 1.0)
    if subject.task.is_softmax and not sums_to_one and _is_softmax_over_rows(outputs):
        cause = "a softmax over the wrong dimension: each column of the outputs sums to one over the rows of the batch"
        yield Finding("softmax_over_batch", "fail", cause, "softmax over the classes, or none: the loss wants logits")
    elif subject.task.is_softmax and float(outputs.std(dim=-1).max()) <= 1e-6 * float(outputs.abs().max()):
        cause = "the outputs of all classes are the same, whatever the weights: no class can be told from another"
        yield Finding("outputs_equal", "fail", cause, "a column of its own for each class in the last layer", numbers)
    elif (is_logarithm or (sums_to_one and wants == "probabilities")) and _is_squashed_twice(outputs, is_logarithm):
        cause = "a second softmax in the model: however large its weights, no class has a probability near one"
        yield Finding("second_softmax", "fail", cause, "take the softmax of the raw outputs, once", numbers)
    elif wants in ("log-probabilities", "probabilities"):
        yield from _unlike(wants, numbers, fits=is_logarithm if wants == "log-probabilities" else is_unit)
    elif sums_to_one:
        cause = (
            "probabilities are handed to a loss that wants logits: the model ends in a softmax, the loss has its own"
        )
        yield Finding("probabilities_as_logits", "fail", cause, "leave the softmax out of the model", numbers)
    elif not is_logarithm:
        yield from _squashed(outputs, subject.task, numbers, is_unit=is_unit, is_far=_is_far(trial))


def _unlike(wants: Wants, numbers: dict[str, float], *, fits: bool) -> Iterator[Finding]:
    if fits:
        return
    if wants == "log-probabilities":
        cause = "raw outputs or probabilities are handed to a loss that wants log-probabilities (NLLLoss)"
        yield Finding("not_log_probabilities", "fail", cause, "loss=cross_entropy, which wants logits", numbers)
    else:
        cause = "raw outputs are handed to a loss that wants probabilities: it is not a number outside of 0..1"
        yield Finding("not_probabilities", "fail", cause, "loss=auto, which wants logits", numbers)


def _is_softmax_over_rows(outputs: Tensor) -> bool:
    return _is_near(outputs.sum(dim=-2), 1.0) or _is_near(outputs.logsumexp(dim=-2), 0.0)


def _is_squashed_twice(outputs: Tensor, is_logarithm: bool) -> bool:
    """Tell whether probabilities go as far as those of a softmax of probabilities, e / (e + C - 1), and no further."""
    largest = float(outputs.exp().max() if is_logarithm else outputs.max())
    limit = math.e / (math.e + outputs.shape[-1] - 1)
    return 0.95 * limit < largest < limit + NEAR


def _is_far(trial: LossTrial) -> bool:
    """Tell whether right outputs of the length 1 are far from the least loss: there is no temperature in it."""
    if trial.task.is_values:
        return True
    chance = trial.value(torch.zeros_like(trial.some()))
    return trial.value(trial.right(1.0)) > FAR * abs(chance)


def _squashed(
    outputs: Tensor, task: Task, numbers: dict[str, float], *, is_unit: bool, is_far: bool
) -> Iterator[Finding]:
    wanted = "targets are standardised values on both sides of 0" if task.is_values else "the loss wants logits"
    # logits of several classes may all have one sign, as long as they differ
    has_one_sign = not task.is_softmax or float((outputs == 0).float().mean()) > 0.02
    if task.is_values and float(outputs.abs().min()) > FAR_FROM_TARGETS:
        cause = (
            f"the outputs start at {float(outputs.mean()):.3g}, and targets are standardised: are they in the units "
        )
        cause += "of the data?"
        yield Finding("outputs_in_other_units", "doubtful", cause, "predict standardised values", numbers)
    elif is_unit and float(outputs.max() - outputs.min()) > 0.3:
        cause = f"the outputs are squashed into 0..1 (a sigmoid at the end of the model), and {wanted}"
        yield Finding("sigmoid_outputs", "fail", cause, "leave the sigmoid out of the model", numbers)
    elif bool((outputs >= 0).all()) and has_one_sign:
        cause = f"the outputs are never negative (a ReLU, square or exponential at the end of the model), and {wanted}"
        yield Finding("relu_outputs", "fail", cause, "leave what stands behind the last layer out", numbers)
    elif bool((outputs <= 0).all()) and has_one_sign:
        cause = f"the outputs are never positive, and {wanted}"
        yield Finding("relu_outputs", "fail", cause, "leave what stands behind the last layer out", numbers)
    elif task.is_softmax and _is_near(outputs.norm(dim=-1), 1.0) and is_far:
        cause = "the outputs of every row have the length 1 (they are normalised at the end of the model)"
        cause += ": no class can get a probability near one"
        yield Finding("outputs_normalised", "doubtful", cause, "multiply them by a temperature, as 16", numbers)
    elif float(outputs.abs().max()) <= 1 + NEAR and float(outputs.abs().max()) > 0.9 and is_far:
        cause = f"the outputs are squashed into -1..1 (a tanh at the end of the model), and {wanted}"
        yield Finding("tanh_outputs", "doubtful", cause, "leave the tanh out of the model", numbers)


@torch.no_grad()
def _outputs_by_weights(subject: Subject) -> Tensor:
    """(weights, rows, outputs) in eval mode: with the weights as they are, larger, and of the other sign.

    Weights whose outputs overflow are left out.
    """
    by_weights = []
    for factor in FACTORS:
        module, inputs, _ = subject.start(NUM_ROWS)
        for parameter in trainable(module.model).values():
            parameter.mul_(factor).add_(0.01 * torch.randn_like(parameter))
        by_weights.append(seeded_outputs(module.eval(), inputs).float())
    outputs = torch.stack(by_weights)
    return outputs[outputs.flatten(1).isfinite().all(dim=1)]


def _is_near(values: Tensor, wanted: float) -> bool:
    return math.isfinite(float(values.sum())) and float((values - wanted).abs().max()) < NEAR


def softmax_over_rows(subject: Subject) -> bool:
    """Tell whether a softmax of the model goes over the rows of a batch."""
    module, inputs, _ = subject.start(4)
    return reduces_over_rows(outputs_of(module, inputs))
