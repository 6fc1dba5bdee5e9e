"""The loss at the start must be that of guessing (CS231n, "Look for correct loss at chance performance")."""

from __future__ import annotations

import math
from typing import Any

import torch

from holdfast.checks.probes.first_steps import first_steps
from holdfast.checks.run import check
from holdfast.checks.subject import Subject, in_form_of, inputs_of, loss_of, outputs_of, plain_number
from holdfast.checks.verdict import Verdict, skipped

MAX_ROWS = 512
FAR_MORE, MUCH_MORE, MUCH_LESS = 8.0, 2.0, 0.5
CLASS_ROOM = 3.0


@check
def chance_loss(subject: Subject, *, num_initialisations: int = 3) -> Verdict:
    """Compare the loss of untrained networks with that of equal outputs.

    Equal outputs have a loss of ln C for softmax (2.302 for ten classes), C - 1 for the multiclass hinge; for values
    the mean predictor, the output 0 of standardised targets, is the measure.
    """
    if subject.task.is_rows:
        return skipped("chance_loss", "rows are given back, and there is no chance to compare with")
    if subject.config.model.get("pretrained"):
        return skipped("chance_loss", "the model is pretrained and starts better than by chance")
    x, y = subject.rows(MAX_ROWS)
    losses, chance, favourite = list[float](), math.nan, None
    by_class, chance_by_class = dict[str, float](), dict[str, float]()
    for number in range(num_initialisations):
        module: Any = subject.module() if not number else subject.rebuilt(subject.config.seed + number)
        with torch.no_grad():
            outputs = outputs_of(module, inputs_of(module, x))
            equal = in_form_of(outputs, torch.zeros_like(outputs))
            chance = float(loss_of(module, equal, y))
            losses.append(float(loss_of(module, outputs, y)))
            if not number and subject.task.is_softmax:
                favourite = _favourite(outputs)
            if not number and subject.task.is_classes:
                by_class = _by_class(module, outputs, y)
                chance_by_class = _by_class(module, equal, y)
    evidence: dict[str, Any] = {
        "chance": plain_number(chance),
        "losses": [plain_number(value) for value in losses],
        "rows": len(x),
    }
    if by_class:
        evidence["by_class"] = by_class
        apart = [label for label, value in by_class.items() if value > CLASS_ROOM * chance_by_class[label]]
        # outputs of several classes that differ from row to row, as distances to prototypes, may start apart
        is_told = bool(apart) and (favourite is not None or not subject.task.is_softmax)
        evidence |= {"class_apart": apart[0]} if is_told else {}
    if favourite is not None:
        evidence["favoured_class"] = favourite
    if math.isfinite(chance) and sum(losses) > MUCH_MORE * chance * len(losses):
        # the scale of outputs may be meant, as that of cosines: then a few steps make it fit
        evidence["loss_after_a_few_steps"] = plain_number((first_steps(subject).losses or [math.nan])[-1])
    return _verdict(chance, losses, evidence)


def _by_class(module: Any, outputs: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
    """The loss of the rows of each class, up to a hundred classes."""
    labels = sorted(set(y.tolist()))[:100]
    return {str(label): plain_number(loss_of(module, outputs[y == label], y[y == label])) for label in labels}


def _favourite(outputs: torch.Tensor) -> int | None:
    """The class whose output is the largest for every row, by more than outputs differ from row to row."""
    means, spread = outputs.mean(dim=0), float(outputs.std(dim=0).max())
    first, second = means.topk(2).values.tolist()
    return int(means.argmax()) if first - second > 6.0 * spread and len(outputs) > 1 else None


def _verdict(chance: float, losses: list[float], evidence: dict[str, Any]) -> Verdict:
    mean = sum(losses) / len(losses)
    causes: tuple[str, ...]
    summary = f"the loss at the start is {mean:.3f}, and that of equal outputs {chance:.3f}"
    if not math.isfinite(mean):
        cause = "the loss at the start is not a number"
        return Verdict("chance_loss", "fail", evidence, (cause,), "check=mistakes names the place")
    if chance <= 0:
        return skipped("chance_loss", f"the loss of equal outputs is {chance:.3g}, which is no measure")
    is_soon_right = evidence.get("loss_after_a_few_steps", math.inf) < chance
    if is_soon_right and mean < FAR_MORE * chance and "favoured_class" not in evidence:
        return Verdict("chance_loss", "pass", evidence)
    if mean > MUCH_MORE * chance and "favoured_class" in evidence:
        cause = f"{summary}: whatever the row, the outputs favour the class {evidence['favoured_class']}"
        return Verdict("chance_loss", "doubtful", evidence, (cause,), "biases of the last layer that start at 0")
    if mean > MUCH_MORE * chance:
        causes = (
            f"{summary}: the first outputs are too large",
            "inputs that are not normalised, or weights that start too large",
        )
        return Verdict("chance_loss", "doubtful", evidence, causes, "transform=standardize, or init=he_normal")
    if mean < MUCH_LESS * chance:
        causes = (
            f"{summary}: an untrained network knows the targets",
            "targets among the inputs, or weights from before",
        )
        return Verdict("chance_loss", "doubtful", evidence, causes, "look at the inputs: `holdfast data inspect`")
    if "class_apart" in evidence:
        label = evidence["class_apart"]
        causes = (f"{summary}; rows of class {label} start at {evidence['by_class'][label]:.3f}",)
        return Verdict("chance_loss", "doubtful", evidence, causes, "biases of the last layer that start at 0")
    return Verdict("chance_loss", "pass", evidence)
