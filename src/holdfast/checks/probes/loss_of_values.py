"""Mistakes in a loss of values, found by asking it about made-up outputs and targets."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.probes.loss_words import LossTrial
from holdfast.checks.subject import plain_number

NEARLY_ALL, SOME, SEVERAL = 0.9, 0.2, 3.0


def loss_of_values_mistakes(trial: LossTrial) -> Iterator[Finding]:
    """Exact values must have the least loss, and every error a slope."""
    candidates = {
        "exact values": trial.y,
        "values a half higher": trial.y + 0.5,
        "values a half lower": trial.y - 0.5,
        "half the values": 0.5 * trial.y,
        "twice the values": 2.0 * trial.y,
        "opposite values": -trial.y,
        "the mean": torch.zeros_like(trial.y),
    }
    yield from _weighed(trial)
    yield from _flat(trial)
    values = {name: trial.value(outputs) for name, outputs in candidates.items()}
    right, best = values["exact values"], min(values, key=lambda name: values[name])
    if not trial.is_less(values[best], right):
        return
    numbers = {"loss_of_exact_values": plain_number(right), f"loss_of_{best}".replace(" ", "_"): values[best]}
    if not trial.is_less(right, max(values.values())):
        yield finding("wrong_sign", numbers, outputs="exact values")
    else:
        yield finding("wrong_minimum", numbers, how=f"{best} have a smaller one than exact values")


def _weighed(trial: LossTrial) -> Iterator[Finding]:
    """Equal errors of rows must weigh alike, and not by one over their targets."""
    slope = trial.slope(trial.y + 1.0)
    weights, sizes = (torch.zeros(1) if slope is None else slope.abs().flatten()), trial.y.abs().flatten()
    if len(weights) != len(sizes) or not bool((weights > 0).all()):
        return
    near, far = (float(weights[places].mean()) for places in (sizes < sizes.median(), sizes > sizes.median()))
    are_opposite = float(torch.corrcoef(torch.stack([weights.log(), sizes.log()]))[0, 1]) < -NEARLY_ALL
    if near > SEVERAL * far and are_opposite:
        yield finding("rows_weighed_by_targets", {"ratio": plain_number(near / far)})


def _flat(trial: LossTrial) -> Iterator[Finding]:
    """Values that are too low or too high must move towards the targets."""
    for direction, outputs in (("low", trial.y - 1.0), ("high", trial.y + 1.0)):
        slope = trial.slope(outputs)
        share = 0.0 if slope is None else float((slope == 0).float().mean())
        if share > SOME:
            yield finding("errors_ignored", {"share": share}, direction=direction)
            return
