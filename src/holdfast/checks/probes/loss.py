"""Mistakes in a loss, found by asking it about made-up outputs and targets; the model has no part in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.probes.loss_of_values import loss_of_values_mistakes
from holdfast.checks.probes.loss_words import STRENGTHS, LossTrial, trial_of
from holdfast.checks.probes.observer import LossCalls, Purposes
from holdfast.checks.subject import Subject, plain_number

CALIBRATED, SURE = 3.0, 5.0
TENFOLD = 30.0
HUNDREDFOLD = 300.0
NUM_DRAWS = 16
NEARLY_ALL, MOSTLY = 0.9, 0.5
SOME, HARDLY = 0.2, 0.1
TINY = 1e-3
SEVERAL, MANY = 3.0, 10.0
NUM_PLACES, DIFFERENCE = 48, 1e-2
NEARLY_EXACT, ENTROPY = 1e-3, 0.02


def loss_mistakes(subject: Subject) -> Iterator[Finding]:
    """Everything that can be known of a loss alone; a loss of reconstructions is left out."""
    if subject.task.is_rows:
        return
    trial = trial_of(subject.module()._loss, subject.task, subject.num_outputs)
    with LossCalls() as calls, Purposes() as purposes:
        slope = trial.slope(trial.some(0.1))
    if calls.swapped and not calls.in_order:
        yield finding("arguments_swapped", function=calls.swapped[0])
    numbers = {"loss_whatever_the_targets": plain_number(trial.value(trial.some()))}
    if slope is None:
        yield finding("loss_cut_off")
    elif not bool(slope.isfinite().all()):
        yield finding("slope_not_finite")
    elif not bool(slope.any()):
        yield finding("slope_missing")
    elif _is_blind(trial):
        yield finding("targets_ignored", numbers)
    elif _is_unbounded(trial):
        yield finding("loss_unbounded", numbers)
    else:
        yield from _pairs(trial)
        yield from loss_of_values_mistakes(trial) if subject.task.is_values else _direction(trial)
        yield from _missing_log(trial, calls)
        yield from _reversed_divergence(trial)
        yield from _rows(trial)
        yield from _range(trial)
        if purposes.names & {"detach", "data", "no_grad"}:
            yield from _stopped(trial)
        elif _has_one_slope(trial, slope):
            yield finding("targets_without_gradient")
        silent_outputs = list(_silent_outputs(trial, slope))
        yield from silent_outputs
        if not silent_outputs and not subject.task.is_values and not subject.config.loss.get("class_weights"):
            yield from _silent_rows(trial, slope)
            yield from _class_weights(trial, subject.datamodule.statistics.class_counts)


def _is_blind(trial: LossTrial) -> bool:
    """Tell whether other targets make no difference."""
    outputs = trial.some()
    value = trial.value(outputs)
    return all(trial.is_same(value, trial.value(outputs, y)) for y in _other_targets(trial))


def _has_one_slope(trial: LossTrial, slope: Tensor) -> bool:
    """Tell whether other targets make no difference to the slope, at the outputs that it was taken of."""
    others = [replace(trial, y=y).slope(trial.some(0.1)) for y in _other_targets(trial)]
    return all(other is not None and torch.allclose(slope, other, rtol=1e-4, atol=1e-9) for other in others)


def _other_targets(trial: LossTrial) -> list[Tensor]:
    if trial.task.is_softmax:
        return [(trial.y + 1) % trial.num_outputs, torch.zeros_like(trial.y)]
    if trial.task.is_values:
        return [trial.y + 1.0, -2.0 * trial.y]
    return [1.0 - trial.y, torch.zeros_like(trial.y)]


def _is_unbounded(trial: LossTrial) -> bool:
    """Tell whether a loss of values falls with the outputs in one direction, and by as much at any distance."""
    if not trial.task.is_values:
        return False
    right, near, far = (trial.value(trial.y + shift) for shift in (0.0, 1e2, 1e4))
    _, near_below, far_below = (trial.value(trial.y - shift) for shift in (0.0, 1e2, 1e4))
    return far < near - 1.0 < right - 2.0 or far_below < near_below - 1.0 < right - 2.0


def _missing_log(trial: LossTrial, calls: LossCalls) -> Iterator[Finding]:
    """A loss of classes that is the negative of a probability: what takes the logarithm is missing."""
    values = [trial.value(outputs) for outputs in (trial.some(0.1), trial.some(2.0), trial.right(TENFOLD))]
    is_negative = not trial.task.is_values and all(-1.0 - 1e-5 <= value < 0.0 for value in values)
    if is_negative or calls.not_logarithms:
        yield finding("log_missing", {"loss_of_right_outputs": plain_number(values[-1])})


def _reversed_divergence(trial: LossTrial) -> Iterator[Finding]:
    """A loss that is linear in the entropy of the probabilities and in that of the targets alone.

    With targets that give `a` to the right class and `b` to each other one, KL(outputs, targets) is
    -H(p) - p_right log a - (1 - p_right) log b.
    """
    if trial.task.is_values or trial.wants != "logits":
        return
    terms = []
    for number in range(NUM_DRAWS):
        logits = trial.some(0.5 + 0.25 * number).roll(number, 0)
        p = trial.task.probabilities(logits).double()
        if trial.task.is_softmax:
            right, entropy = p.gather(1, trial.y[:, None]), -(p * p.clamp_min(1e-300).log()).sum(dim=1)
        else:
            right = torch.where(trial.y > 0.5, p, 1 - p)
            entropy = functional.binary_cross_entropy(p, p)
        terms.append([float(entropy.mean()), float(right.mean()), 1.0, trial.value(logits)])
    numbers = torch.tensor(terms, dtype=torch.float64)
    matrix, wanted = numbers[:, :3], numbers[:, 3]
    if not bool(wanted.isfinite().all()):
        return
    factors = torch.linalg.lstsq(matrix, wanted).solution
    error = float((matrix @ factors - wanted).abs().max())
    if error < NEARLY_EXACT * float(wanted.std()) and float(factors[0] / factors[1]) > ENTROPY:
        yield finding("divergence_reversed", {"share_of_entropy": plain_number(factors[0] / factors[1])})


def _stopped(trial: LossTrial) -> Iterator[Finding]:
    """Outputs that change the loss, and have no gradient or one of the other sign, by centred differences."""
    outputs = trial.some()
    given = trial.slope(outputs.clone())
    assert given is not None
    slope, places = given.flatten(), torch.randperm(outputs.numel())[:NUM_PLACES]
    differences = torch.zeros(len(places))
    for number, place in enumerate(places):
        step = torch.zeros(outputs.numel())
        step[place] = DIFFERENCE
        step = step.view_as(outputs)
        differences[number] = (trial.value(outputs + step) - trial.value(outputs - step)) / (2 * DIFFERENCE)
    is_clear = differences.abs() > SOME * differences.abs().max()
    is_stopped = slope[places] * differences.sign() < HARDLY * differences.abs()
    share = float(is_stopped[is_clear].float().mean())
    if share > SOME:
        yield finding("slope_stopped", {"share": plain_number(share)})


def _pairs(trial: LossTrial) -> Iterator[Finding]:
    """Rows whose targets are exchanged must have another loss, on average where the loss draws."""
    outputs, permuted = trial.right(CALIBRATED), trial.y.roll(1, 0)
    own, other = trial.value(outputs), trial.value(outputs, permuted)
    random = trial.some(2.0)
    if not trial.is_same(own, trial.value(outputs)):
        draws = [(trial.value(outputs), trial.value(outputs, permuted)) for _ in range(NUM_DRAWS)]
        gains = torch.tensor([with_others - with_own for with_own, with_others in draws])
        if float(gains.mean()) < 3.0 * float(gains.std()) / math.sqrt(NUM_DRAWS):
            numbers = {"mean_gain_of_own_targets": plain_number(gains.mean()), "draws": NUM_DRAWS}
            yield finding("targets_shuffled", numbers, how="they are shuffled anew in each step")
    elif trial.is_same(own, other) and trial.is_same(trial.value(random), trial.value(random, permuted)):
        numbers = {"loss": plain_number(own), "loss_with_targets_exchanged": plain_number(other)}
        yield finding("targets_broadcast", numbers)


def _direction(trial: LossTrial) -> Iterator[Finding]:
    """The outputs that make the loss least must say what the targets say."""
    right, wrong = trial.value(trial.right(CALIBRATED)), trial.value(trial.right(-CALIBRATED))
    outputs = trial.right(CALIBRATED)
    for order, turned in {"reverse order": outputs.flip(0), "next place": outputs.roll(1, 0)}.items():
        if trial.is_less(trial.value(turned), min(right, wrong)):
            yield finding("targets_shuffled", how=f"it is less for those in the {order}")
            return
    numbers = {"loss_of_right_outputs": plain_number(right), "loss_of_opposite_outputs": plain_number(wrong)}
    num_outputs = trial.num_outputs
    shifts = [*range(1, min(num_outputs, 12)), *([-1] if num_outputs > 12 else [])] if trial.task.is_softmax else []
    shifted = {shift: trial.value(trial.right(CALIBRATED, shift)) for shift in shifts}
    best = min(shifted, key=lambda shift: shifted[shift], default=0)
    is_best_alone = sum(trial.is_same(value, shifted[best]) for value in shifted.values()) == 1
    is_shifted = is_best_alone and trial.is_less(shifted[best], right)
    if is_shifted and (num_outputs > 2 or wrong > right):
        numbers |= {"shift": best if best <= num_outputs / 2 else best - num_outputs}
        yield finding("labels_shifted", {**numbers, "loss_of_shifted_outputs": plain_number(shifted[best])})
        return
    # a loss of smoothed targets may leave it to the model to normalise the outputs
    candidates = [trial, *([replace(trial, wants="log-probabilities")] if trial.task.is_softmax else [])]
    bests = [candidate.best() for candidate in candidates]
    share = max(candidate.share_right(best.outputs) for candidate, best in zip(candidates, bests, strict=True))
    least_right = min(trial.value(trial.right(strength)) for strength in STRENGTHS)
    numbers["share_right_where_the_loss_is_least"] = plain_number(share)
    chance = trial.value(trial.as_wanted(torch.zeros_like(outputs)))
    is_costly = all(trial.is_less(chance, value) for value in (right, trial.value(trial.right(TENFOLD))))
    if trial.is_less(wrong, right) and is_costly and share < MOSTLY:
        yield finding("wrong_sign", numbers, outputs="right outputs")
    elif share < MOSTLY or (share < NEARLY_ALL and trial.is_less(min(best.least for best in bests), least_right)):
        how = f"where it is, only {share:.0%} of the outputs say what their targets say"
        if wrong < chance:
            how = f"outputs that are surely wrong cost {wrong:.2g}, less than equal ones with {chance:.2g} (a factor "
            how += "that falls with the error, such as p in place of 1 - p in a focal loss)"
        yield finding("wrong_minimum", numbers, how=how)


def _rows(trial: LossTrial) -> Iterator[Finding]:
    """The loss is a mean over rows: that of a doubled batch is the same, that of a batch is the mean of its rows'."""
    outputs = trial.some()
    value = trial.value(outputs)
    doubled = trial.value(torch.cat([outputs, outputs]), torch.cat([trial.y, trial.y]))
    ratio = doubled / value if value else math.nan
    numbers = {"loss": plain_number(value), "loss_of_the_batch_twice": plain_number(doubled)}
    if abs(ratio - 2.0) < 1e-3:
        yield finding("sum_over_batch", numbers)
    elif abs(ratio - 0.5) < 1e-3:
        yield finding("mean_taken_twice", numbers)
    elif trial.task.is_softmax and _is_normalised_over_rows(trial):
        yield finding("softmax_over_batch", {"dimension": 0}, place="loss")


def _is_normalised_over_rows(trial: LossTrial) -> bool:
    """Tell whether numbers that are added to a whole column cancel, and those that are added to a whole row do not."""
    logits = trial.some()
    of_columns, of_rows = torch.linspace(-1, 2, logits.shape[1]), torch.linspace(-1, 2, len(logits))[:, None]
    by_column, by_row = (trial.value(logits + shift) for shift in (of_columns, of_rows))
    return trial.is_same(by_column, trial.value(logits)) and not trial.is_same(by_row, trial.value(logits))


def _range(trial: LossTrial) -> Iterator[Finding]:
    """The loss must fall from that of equal outputs to its floor, and have a scale that is not lost.

    Tenfold logits must bring it there; a loss that squashes them a second time stays above.
    """
    chance = trial.value(torch.zeros_like(trial.some()))
    if max(abs(trial.value(trial.some())), abs(chance)) < TINY:
        yield finding("loss_tiny", {"loss_of_random_outputs": plain_number(trial.value(trial.some()))})
    if trial.task.is_values or trial.wants != "logits":
        return
    near, far = trial.value(trial.right(TENFOLD)), trial.value(trial.right(HUNDREDFOLD))
    wrong, worst = trial.value(trial.right(-TENFOLD)), trial.value(trial.right(-HUNDREDFOLD))
    least, sure = min(trial.best().least, near), trial.value(trial.right(SURE))
    numbers = {
        "chance_loss": plain_number(chance),
        "least_loss": plain_number(least),
        "loss_of_tenfold_right_logits": plain_number(near),
        "loss_of_tenfold_wrong_logits": plain_number(wrong),
    }
    is_flat = trial.is_same(near, far) and trial.is_same(wrong, worst)
    is_double = trial.task.is_softmax and all(
        trial.is_same(trial.value(z), float(functional.cross_entropy(z.softmax(dim=1), trial.y)))
        for z in (trial.some(), trial.some(CALIBRATED))
    )
    if is_double or (is_flat and near > 0.1 * abs(chance)):
        how = "in the loss: it squashes the logits and hands the probabilities to a loss that wants logits, and "
        how += f"saturates at {near:.3g} however sure and right the outputs are"
        yield finding("second_softmax", numbers, how=how)
    elif any(0 <= chance - value < HARDLY * abs(chance) for value in (least, sure)):
        yield finding("loss_hardly_moves", numbers)


def _silent_outputs(trial: LossTrial, slope: Tensor) -> Iterator[Finding]:
    """Every output must be moved, and each label by itself."""
    if trial.task.is_flat:
        return
    silent = [column for column in range(trial.num_outputs) if not bool(slope[:, column].any())]
    if silent:
        yield finding("outputs_ignored", {"columns": silent}, some=", ".join(map(str, silent[:5])))
        return
    if not trial.task.is_labels:
        return
    share = float((slope * (2.0 * trial.y - 1.0) > 0).float().mean())
    if SOME < share < 1.0 - SOME:
        how = f"it moves {share:.0%} of the labels away from their targets"
        yield finding("labels_as_classes", {"share": share}, how=how)
    elif trial.is_same(trial.value(trial.some()), trial.value(trial.some() + 1.0)):
        far = trial.value(trial.right(TENFOLD))
        numbers = {"loss_of_tenfold_right_logits": plain_number(far)}
        how = "it is the same when all outputs of a row grow, and none can be far on either side of 0"
        yield finding("labels_as_classes", numbers, word="fail" if far > 0.02 else "doubtful", how=how)


def _silent_rows(trial: LossTrial, slope: Tensor) -> Iterator[Finding]:
    """Every row must move its outputs, wherever it stands in the batch and whatever its class."""
    is_silent = _is_still(trial, slope)
    turned = replace(trial, y=trial.y.flip(0))
    turned_slope = turned.slope(trial.some(0.1).flip(0))
    assert turned_slope is not None
    count = int(is_silent.sum())
    if count and torch.equal(is_silent, _is_still(turned, turned_slope)):
        how = "rows by their place in the batch (it slices outputs)"
        yield finding("rows_ignored", {"rows_ignored": count, "rows": is_silent.numel()}, how=how)
    elif float(is_silent.float().mean()) > NEARLY_ALL:
        numbers = {"rows_ignored": count, "rows": is_silent.numel()}
        yield finding("rows_ignored", numbers, word="doubtful", how="nearly all rows")
    else:
        silent = [
            int(label) for label in sorted(set(trial.y.flatten().tolist())) if bool(is_silent[trial.y == label].all())
        ]
        if silent:
            yield finding("classes_ignored", {"classes": silent}, some=", ".join(map(str, silent[:5])))


def _is_still(trial: LossTrial, slope: Tensor) -> Tensor:
    """A mask like the targets: true where a row moves none of its outputs, or a label of a row not its own."""
    return slope == 0 if trial.task.is_labels else slope.reshape(len(slope), -1).abs().amax(dim=1) == 0


def _class_weights(trial: LossTrial, counts: tuple[int, ...] | None) -> Iterator[Finding]:
    """Rows of frequent classes must not weigh several times as much as those of rare ones."""
    if not counts or len(counts) < 2 or min(counts) == 0 or trial.task.is_labels:
        return
    slope = trial.slope(torch.zeros_like(trial.some()))
    if slope is None:
        return
    lengths = slope.reshape(len(slope), -1).norm(dim=1)
    weights = [float(lengths[trial.y == label].mean()) for label in range(len(counts))]
    if not min(weights) > 0:
        return
    frequent, rare = counts.index(max(counts)), counts.index(min(counts))
    ratio = weights[frequent] / weights[rare]
    heavy, light = weights.index(max(weights)), weights.index(min(weights))
    if counts[frequent] >= SEVERAL * counts[rare] and ratio > SEVERAL:
        yield finding("class_weights_inverted", {"frequent": frequent, "rare": rare, "ratio": ratio})
    elif weights[heavy] > MANY * weights[light] * max(1.0, counts[light] / counts[heavy]):
        numbers = {"heavy": heavy, "light": light, "ratio": weights[heavy] / weights[light]}
        yield finding("class_weights_too_large", numbers, counts=f"{counts[heavy]:,} and {counts[light]:,}")
