"""Pre-flight checks. Every option is called `check(subject)` and gives a list of verdicts.

A check looks at copies of what will be trained, and at train rows; with and without checks a run ends in the same bits.
"""

from holdfast.checks.all import all
from holdfast.checks.augmentation import augmentation
from holdfast.checks.baseline import baseline
from holdfast.checks.chance_loss import chance_loss
from holdfast.checks.gradient import gradient
from holdfast.checks.lr_range import lr_range
from holdfast.checks.mistakes import mistakes
from holdfast.checks.overfit_tiny import overfit_tiny
from holdfast.checks.quick import quick
from holdfast.checks.regularization_loss import regularization_loss
from holdfast.checks.timing import timing

__all__ = [
    "all",
    "augmentation",
    "baseline",
    "chance_loss",
    "gradient",
    "lr_range",
    "mistakes",
    "overfit_tiny",
    "quick",
    "regularization_loss",
    "timing",
]
