"""Every check, one after the other."""

from __future__ import annotations

from holdfast.checks.augmentation import augmentation
from holdfast.checks.baseline import baseline
from holdfast.checks.chance_loss import chance_loss
from holdfast.checks.gradient import gradient
from holdfast.checks.lr_range import lr_range
from holdfast.checks.mistakes import mistakes
from holdfast.checks.overfit_tiny import overfit_tiny
from holdfast.checks.regularization_loss import regularization_loss
from holdfast.checks.run import Check
from holdfast.checks.subject import Subject
from holdfast.checks.timing import timing
from holdfast.checks.verdict import Verdict

ALL: tuple[Check, ...] = (
    mistakes,
    gradient,
    chance_loss,
    regularization_loss,
    augmentation,
    overfit_tiny,
    lr_range,
    timing,
    baseline,
)


def all(subject: Subject) -> list[Verdict]:
    """Every check; a minute for a small network."""
    return [verdict for check in ALL for verdict in check(subject)]
