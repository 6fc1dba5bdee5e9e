"""Pre-flight checks. Every option is called `check(subject)` and gives a list of verdicts.

A check looks at copies of what will be trained, and at train rows; with and without checks a run ends in the same bits.
"""

from holdfast.checks.baseline import baseline
from holdfast.checks.chance_loss import chance_loss
from holdfast.checks.gradient import gradient
from holdfast.checks.mistakes import mistakes
from holdfast.checks.overfit_tiny import overfit_tiny
from holdfast.checks.presets import all, quick

__all__ = ["all", "baseline", "chance_loss", "gradient", "mistakes", "overfit_tiny", "quick"]
