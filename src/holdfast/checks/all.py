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

# those that name causes come before those that show what follows from them
ALL: tuple[Check, ...] = (
    mistakes,
    gradient,
    regularization_loss,
    augmentation,
    baseline,
    chance_loss,
    overfit_tiny,
    lr_range,
    timing,
)


def all(subject: Subject) -> list[Verdict]:
    """Every check; a minute for a small network."""
    return [verdict for check in ALL for verdict in check(subject)]
