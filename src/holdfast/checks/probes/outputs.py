"""The outputs of a model: raw, or squashed to probabilities that the loss does not want."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from holdfast.checks.probes.autograd import reduces_over_rows
from holdfast.checks.probes.finding import Finding
from holdfast.checks.probes.loss_words import trial_of
from holdfast.checks.subject import Subject, inputs_of, outputs_of, trainable

NUM_ROWS = 32
FACTORS = (1.0, 3.0, -3.0, 10.0)
NEAR = 1e-3


def output_mistakes(subject: Subject) -> Iterator[Finding]:
    """Outputs that do not fit what the loss wants."""
    if subject.task == "reconstruction":
        return
    outputs = _outputs_by_weights(subject)
    trial = trial_of(subject.module()._loss, subject.task, subject.num_outputs)
    if not bool(outputs.isfinite().all()) or float(outputs.std()) < 1e-9 or trial.wants == "unit":
        return
    numbers = {"least_output": float(f"{outputs.min():.4g}"), "largest_output": float(f"{outputs.max():.4g}")}
    is_unit = bool((outputs >= 0).all() and (outputs <= 1 + NEAR).all())
    has_classes = subject.task == "multiclass"
    sums_to_one = has_classes and is_unit and _is_near(outputs.sum(dim=-1), 1.0)
    is_logarithm = has_classes and _is_near(outputs.logsumexp(dim=-1), 0.0)
    over_rows = has_classes and (_is_near(outputs.sum(dim=-2), 1.0) or _is_near(outputs.logsumexp(dim=-2), 0.0))
    if over_rows and not sums_to_one:
        cause = "a softmax over the wrong dimension: each column of the outputs sums to one over the rows of the batch"
        yield Finding("softmax_over_batch", "fail", cause, "softmax over the classes, or none: the loss wants logits")
    elif trial.wants == "log-probabilities":
        if not is_logarithm:
            cause = "raw outputs or probabilities are handed to a loss that wants log-probabilities (NLLLoss)"
            yield Finding("not_log_probabilities", "fail", cause, "loss=cross_entropy, which wants logits", numbers)
    elif trial.wants == "probabilities":
        if not is_unit:
            cause = "raw outputs are handed to a loss that wants probabilities: it is not a number outside of 0..1"
            yield Finding("not_probabilities", "fail", cause, "loss=auto, which wants logits", numbers)
    elif sums_to_one:
        cause = (
            "probabilities are handed to a loss that wants logits: the model ends in a softmax, the loss has its own"
        )
        yield Finding("probabilities_as_logits", "fail", cause, "leave the softmax out of the model", numbers)
    elif not is_logarithm:
        yield from _squashed(outputs, subject.task, numbers, is_unit=is_unit)


def _squashed(outputs: Tensor, task: str, numbers: dict[str, float], *, is_unit: bool) -> Iterator[Finding]:
    wanted = "targets are standardised values on both sides of 0" if task == "regression" else "the loss wants logits"
    if is_unit and float(outputs.max() - outputs.min()) > 0.3:
        cause = f"the outputs are squashed into 0..1 (a sigmoid at the end of the model), and {wanted}"
        yield Finding("sigmoid_outputs", "fail", cause, "leave the sigmoid out of the model", numbers)
    elif bool((outputs >= 0).all()) and float((outputs == 0).float().mean()) > 0.02:
        cause = f"the outputs are never negative (a ReLU at the end of the model), and {wanted}"
        yield Finding("relu_outputs", "fail", cause, "leave the ReLU behind the last layer out", numbers)
    elif bool((outputs <= 0).all()) and float((outputs == 0).float().mean()) > 0.02:
        cause = f"the outputs are never positive, and {wanted}"
        yield Finding("relu_outputs", "fail", cause, "leave the activation behind the last layer out", numbers)
    elif float(outputs.abs().max()) <= 1 + NEAR and float(outputs.abs().max()) > 0.9:
        cause = f"the outputs are squashed into -1..1 (a tanh at the end of the model), and {wanted}"
        yield Finding("tanh_outputs", "doubtful", cause, "leave the tanh out of the model", numbers)


@torch.no_grad()
def _outputs_by_weights(subject: Subject) -> Tensor:
    """(weights, rows, outputs) in eval mode: with the weights as they are, larger, and of the other sign."""
    x, _ = subject.rows(NUM_ROWS)
    outputs_of_all = []
    for factor in FACTORS:
        module = subject.module().eval()
        for parameter in trainable(module.model).values():
            parameter.mul_(factor).add_(0.01 * torch.randn_like(parameter))
        outputs = outputs_of(module, inputs_of(module, x))
        outputs_of_all.append(outputs.reshape(len(outputs), -1).float())
    return torch.stack(outputs_of_all)


def _is_near(values: Tensor, wanted: float) -> bool:
    return math.isfinite(float(values.sum())) and float((values - wanted).abs().max()) < NEAR


def softmax_over_rows(subject: Subject) -> bool:
    """Tell whether a softmax of the model goes over the rows of a batch."""
    module = subject.module()
    x, _ = subject.rows(4)
    return reduces_over_rows(outputs_of(module, inputs_of(module, x)))
