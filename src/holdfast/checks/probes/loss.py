"""Mistakes in a loss, found by asking it about made-up outputs and targets; the model has no part in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.checks.probes.autograd import reduces_over_rows
from holdfast.checks.probes.finding import Finding
from holdfast.checks.probes.loss_words import LossTrial, trial_of
from holdfast.checks.subject import Subject, plain_number

SAME = 1e-5
CALIBRATED = 3.0
TENFOLD = 30.0
HUNDREDFOLD = 300.0
NUM_DRAWS = 16
NEARLY_ALL = 0.9
SOME = 0.2
HARDLY = 0.02


def loss_mistakes(subject: Subject) -> Iterator[Finding]:
    """Everything that can be known of a loss alone; a loss of reconstructions is left out."""
    if subject.task.is_rows:
        return
    trial = trial_of(subject.module()._loss, subject.task, subject.num_outputs)
    slope = trial.slope(trial.some(0.1))
    if slope is None or not bool(slope.isfinite().all()) or not bool(slope.any()):
        yield _without_slope(slope)
        return
    if _is_blind(trial):
        cause = "the loss ignores the targets: it is the same whatever they are"
        yield Finding("targets_ignored", "fail", cause, "let the loss compare outputs with targets", _at(trial))
        return
    if _is_unbounded(trial):
        cause = "the loss has no least value: outputs that go on in one direction make it ever smaller"
        next_step = "a square or an absolute value of each row's error"
        yield Finding("loss_unbounded", "fail", cause, next_step, _at(trial))
        return
    yield from _pairs(trial)
    yield from _direction(trial)
    yield from _missing_log(trial)
    yield from _rows(trial)
    yield from _saturation(trial)
    yield from _silent_outputs(trial, slope)
    if subject.task.is_classes and not subject.config.loss.get("class_weights"):
        yield from _silent_rows(trial, slope)


def _without_slope(slope: Tensor | None) -> Finding:
    if slope is None:
        cause = (
            "the loss is cut off from its graph (detach, item, numpy, argmax or no_grad in the loss): nothing learns"
        )
        return Finding("loss_cut_off", "fail", cause, "compute the loss of the outputs with torch alone")
    if slope.any():
        cause = (
            "the gradient of the loss is not finite: a logarithm of 0, a root of 0 or a division by 0, as of outputs "
            "and targets in the wrong order"
        )
        return Finding("slope_not_finite", "fail", cause, "loss(outputs, targets), and logarithms of what is above 0")
    cause = "the loss has no slope for outputs near 0, which is where networks start: a clamp or a step is in the way"
    return Finding("slope_missing", "fail", cause, "leave the clamp out, or let it end where no row starts")


def _is_blind(trial: LossTrial) -> bool:
    """Tell whether other targets make no difference."""
    outputs = trial.some()
    if trial.task.is_softmax:
        others = [(trial.y + 1) % trial.num_outputs, torch.zeros_like(trial.y)]
    elif trial.task.is_values:
        others = [trial.y + 1.0, -2.0 * trial.y]
    else:
        others = [1.0 - trial.y, torch.zeros_like(trial.y)]
    value = trial.value(outputs)
    return all(_is_same(value, trial.value(outputs, y)) for y in others)


def _is_unbounded(trial: LossTrial) -> bool:
    """Tell whether a loss of values falls with the outputs in one direction, and by as much at any distance."""
    if not trial.task.is_values:
        return False
    right, near, far = (trial.value(trial.y + shift) for shift in (0.0, 1e2, 1e4))
    _, near_below, far_below = (trial.value(trial.y - shift) for shift in (0.0, 1e2, 1e4))
    return far < 2 * near < 2 * right - 1.0 or far_below < 2 * near_below < 2 * right - 1.0


def _missing_log(trial: LossTrial) -> Iterator[Finding]:
    """A loss of classes that is the negative of a probability: what takes the logarithm is missing."""
    values = [float(trial.value(outputs)) for outputs in (trial.some(0.1), trial.some(2.0), trial.right(TENFOLD))]
    if not trial.task.is_values and all(-1.0 - SAME <= value < 0.0 for value in values):
        cause = "the loss is minus a probability: it wants log-probabilities, and the logarithm is missing"
        numbers = {"loss_of_right_outputs": plain_number(values[-1])}
        yield Finding("log_missing", "doubtful", cause, "log_softmax in place of softmax in front of nll_loss", numbers)


def _pairs(trial: LossTrial) -> Iterator[Finding]:
    """Rows whose targets are exchanged must have another loss, on average where the loss draws."""
    outputs, permuted = trial.right(CALIBRATED), trial.y.roll(1, 0)
    own, other = trial.value(outputs), trial.value(outputs, permuted)
    random = trial.some(2.0)
    if not _is_same(own, trial.value(outputs)):
        draws = [(trial.value(outputs), trial.value(outputs, permuted)) for _ in range(NUM_DRAWS)]
        gains = torch.tensor([with_others - with_own for with_own, with_others in draws])
        if float(gains.mean()) < 3.0 * float(gains.std()) / math.sqrt(NUM_DRAWS):
            cause = "the loss compares outputs with the targets of other rows: they are shuffled anew in each step"
            numbers = {"mean_gain_of_own_targets": plain_number(gains.mean()), "draws": NUM_DRAWS}
            yield Finding("targets_shuffled", "fail", cause, "keep each target with its row", numbers)
    elif _is_same(own, other) and _is_same(trial.value(random), trial.value(random, permuted)):
        cause = (
            "the loss does not know which target belongs to which row: outputs and targets of different shapes are "
            "broadcast to all pairs, as (n, 1) against (n,), or a mean over rows is taken before they are compared"
        )
        numbers = {"loss": plain_number(own), "loss_with_targets_exchanged": plain_number(other)}
        yield Finding(
            "targets_broadcast", "fail", cause, "give outputs and targets the same shape in the loss", numbers
        )


def _direction(trial: LossTrial) -> Iterator[Finding]:
    """The loss must be least for right outputs."""
    if trial.task.is_values:
        yield from _direction_of_values(trial)
        return
    right, wrong = trial.value(trial.right(CALIBRATED)), trial.value(trial.right(-CALIBRATED))
    outputs = trial.right(CALIBRATED)
    for order, turned in {"reverse order": outputs.flip(0), "next place": outputs.roll(1, 0)}.items():
        if trial.value(turned) < min(right, wrong) - SAME * (1 + abs(right)):
            cause = f"the loss compares outputs with the targets of other rows: it is less for those in the {order}"
            yield Finding("targets_shuffled", "fail", cause, "keep each target with its row")
            return
    shifts = range(1, min(trial.num_outputs, 12)) if trial.task.is_softmax else ()
    shifted = {shift: trial.value(trial.right(CALIBRATED, shift)) for shift in shifts}
    if trial.task.is_softmax and trial.num_outputs > 12:
        shifted[-1] = trial.value(trial.right(CALIBRATED, -1))
    numbers = {"loss_of_right_outputs": plain_number(right), "loss_of_opposite_outputs": plain_number(wrong)}
    best = min(shifted, key=lambda shift: shifted[shift], default=0)
    others = list(shifted.values())
    is_one_better = bool(others) and shifted[best] < right - SAME * (1 + abs(right))
    is_one_special = is_one_better and sum(_is_same(value, shifted[best]) for value in others) == 1
    if is_one_special and (trial.num_outputs > 2 or wrong > right):
        off = best if best <= trial.num_outputs / 2 else best - trial.num_outputs
        cause = (
            f"the loss is off by one in the labels: it is least where the outputs say the class {off:+d} places away"
        )
        numbers |= {"shift": off, "loss_of_shifted_outputs": plain_number(shifted[best])}
        yield Finding("labels_shifted", "fail", cause, "use the targets as they are, from 0", numbers)
    elif wrong < right - SAME * (1 + abs(right)):
        cause = "the loss has the wrong sign: right outputs have a larger loss than opposite ones"
        yield Finding("wrong_sign", "fail", cause, "change the sign of the loss: it is minimised", numbers)
    elif _is_worse_than_equal(trial):
        cause = "the loss is larger for right outputs than for equal ones: outputs and targets do not belong together"
        next_step = "transpose outputs, do not reshape them; compare each row with its own target"
        yield Finding("wrong_minimum", "fail", cause, next_step, numbers)


def _is_worse_than_equal(trial: LossTrial) -> bool:
    """Tell whether right outputs have a larger loss than equal ones."""
    right = trial.right(CALIBRATED)
    equal = trial.as_wanted(torch.zeros(right.shape))
    return trial.wants != "unit" and trial.value(right) > trial.value(equal) + SAME


def _direction_of_values(trial: LossTrial) -> Iterator[Finding]:
    candidates = {
        "exact values": trial.y,
        "values a half higher": trial.y + 0.5,
        "values a half lower": trial.y - 0.5,
        "half the values": 0.5 * trial.y,
        "twice the values": 2.0 * trial.y,
        "opposite values": -trial.y,
        "the mean": torch.zeros_like(trial.y),
    }
    values = {name: trial.value(outputs) for name, outputs in candidates.items()}
    right, best = values["exact values"], min(values, key=lambda name: values[name])
    if values[best] >= right - SAME * (1 + abs(right)):
        return
    numbers = {"loss_of_exact_values": plain_number(right), f"loss_of_{best}".replace(" ", "_"): values[best]}
    if right >= max(values.values()) - SAME:
        cause = "the loss has the wrong sign: exact values have the largest loss"
        yield Finding("wrong_sign", "fail", cause, "change the sign of the loss: it is minimised", numbers)
    else:
        cause = f"the loss is not least at its targets: {best} have a smaller one"
        yield Finding("wrong_minimum", "fail", cause, "compare the outputs with the standardised targets", numbers)


def _rows(trial: LossTrial) -> Iterator[Finding]:
    """The loss is a mean over rows: that of a doubled batch is the same, that of a batch is the mean of its rows'."""
    outputs = trial.some()
    value = trial.value(outputs)
    doubled = trial.value(torch.cat([outputs, outputs]), torch.cat([trial.y, trial.y]))
    ratio = doubled / value if value else math.nan
    if abs(ratio - 2.0) < 1e-3:
        cause = "the loss is a sum over the batch: the step grows with the batch size, and metrics are not comparable"
        numbers = {"loss": plain_number(value), "loss_of_the_batch_twice": plain_number(doubled)}
        yield Finding("sum_over_batch", "fail", cause, "take the mean over rows (reduction='mean')", numbers)
        return
    if abs(ratio - 0.5) < 1e-3:
        cause = "the loss is divided by the number of rows twice: the step shrinks with the batch size"
        numbers = {"loss": plain_number(value), "loss_of_the_batch_twice": plain_number(doubled)}
        yield Finding("mean_taken_twice", "fail", cause, "a loss with reduction='mean' is divided already", numbers)
        return
    probe = outputs.clone().requires_grad_()
    if trial.task.is_softmax and reduces_over_rows(trial.loss(probe, trial.y)):
        cause = "the loss takes its softmax over the batch (dimension 0) instead of the classes (dimension 1)"
        yield Finding("softmax_over_batch", "fail", cause, "softmax(dim=1) in the loss", {"dimension": 0})


def _saturation(trial: LossTrial) -> Iterator[Finding]:
    """Tenfold logits must bring the loss to its floor; a loss that squashes them a second time stays above."""
    if trial.task.is_values or trial.wants != "logits":
        return
    chance = trial.value(torch.zeros_like(trial.some()))
    near, far = trial.value(trial.right(TENFOLD)), trial.value(trial.right(HUNDREDFOLD))
    wrong, worst = trial.value(trial.right(-TENFOLD)), trial.value(trial.right(-HUNDREDFOLD))
    numbers = {
        "chance_loss": plain_number(chance),
        "loss_of_tenfold_right_logits": plain_number(near),
        "loss_of_tenfold_wrong_logits": plain_number(wrong),
    }
    is_flat = _is_same(near, far) and _is_same(wrong, worst)
    is_double = trial.task.is_softmax and all(
        _is_same(trial.value(z), float(functional.cross_entropy(z.softmax(dim=1), trial.y)))
        for z in (trial.some(), trial.some(CALIBRATED))
    )
    if is_double or (is_flat and near > 0.1 * abs(chance)):
        cause = (
            "a second softmax or sigmoid: the loss squashes the logits and hands the probabilities to a loss that "
            f"wants logits, so that it saturates at {near:.3g} however sure and right the outputs are"
        )
        yield Finding("second_softmax", "fail", cause, "hand the logits to the loss as they are", numbers)
    elif max(abs(near - chance), abs(wrong - chance)) < HARDLY * abs(chance):
        cause = (
            f"the loss hardly moves: it is {near:.3g} for sure and right outputs, {wrong:.3g} for sure and wrong ones, "
            f"and {chance:.3g} for equal ones"
        )
        yield Finding("loss_hardly_moves", "doubtful", cause, "a temperature near 1, less label smoothing", numbers)


def _silent_outputs(trial: LossTrial, slope: Tensor) -> Iterator[Finding]:
    """Every output must be moved, and each label by itself."""
    if trial.task.is_flat:
        return
    silent = [column for column in range(trial.num_outputs) if not bool(slope[:, column].any())]
    if silent:
        cause = f"the loss ignores some outputs (the columns {', '.join(map(str, silent[:5]))}): nothing moves them"
        yield Finding("outputs_ignored", "fail", cause, "hand all columns to the loss", {"columns": silent})
        return
    if not trial.task.is_labels:
        return
    share = float((slope * (2.0 * trial.y - 1.0) > 0).float().mean())
    if SOME < share < 1.0 - SOME:
        cause = (
            f"the loss moves {100 * share:.0f} % of the labels away from their targets: several labels of a row are "
        )
        cause += "right, and it takes them for one of several classes"
        yield Finding("labels_as_classes", "fail", cause, "loss=binary_cross_entropy", {"share": share})
    elif _is_same(trial.value(trial.some()), trial.value(trial.some() + 1.0)):
        far = trial.value(trial.right(TENFOLD))
        cause = "the loss compares the labels of a row with each other, as if one of several classes were right: it is "
        cause += "the same when all outputs of a row grow, and none can be far on either side of 0"
        word: Literal["fail", "doubtful"] = "fail" if far > HARDLY else "doubtful"
        numbers = {"loss_of_tenfold_right_logits": plain_number(far)}
        yield Finding("labels_as_classes", word, cause, "loss=binary_cross_entropy", numbers)


def _silent_rows(trial: LossTrial, slope: Tensor) -> Iterator[Finding]:
    """Every row must move its outputs, wherever it stands in the batch and whatever its class."""
    is_silent = _is_still(slope)
    turned = replace(trial, y=trial.y.flip(0))
    is_silent_when_turned = _is_still(turned.slope(trial.some(0.1).flip(0)))
    if bool((is_silent & is_silent_when_turned).any()) and torch.equal(is_silent, is_silent_when_turned):
        count = int(is_silent.sum())
        cause = f"the loss ignores rows by their place in the batch ({count} of {len(trial.y)}): it slices outputs"
        yield Finding("rows_ignored", "fail", cause, "take the mean over all rows", {"rows_ignored": count})
        return
    if float(is_silent.float().mean()) > NEARLY_ALL:
        cause = f"the loss ignores nearly all rows: {int(is_silent.sum())} of {len(trial.y)} move no output"
        yield Finding("rows_ignored", "doubtful", cause, "take the mean over all rows, not the least or largest one")
        return
    silent = [int(label) for label in sorted(set(trial.y.tolist())) if bool(is_silent[trial.y == label].all())]
    if silent:
        cause = f"the loss ignores the rows of some classes ({', '.join(map(str, silent[:5]))}): they move no output"
        yield Finding(
            "classes_ignored", "fail", cause, "let the loss have a slope for every target", {"classes": silent}
        )


def _is_still(slope: Tensor | None) -> Tensor:
    """(rows,) whether no output of a row is moved."""
    assert slope is not None
    return slope.reshape(len(slope), -1).abs().amax(dim=1) == 0


def _at(trial: LossTrial) -> dict[str, float]:
    return {"loss_whatever_the_targets": plain_number(trial.value(trial.some()))}


def _is_same(first: float, other: float) -> bool:
    return abs(first - other) <= SAME * max(1.0, abs(first), abs(other))
