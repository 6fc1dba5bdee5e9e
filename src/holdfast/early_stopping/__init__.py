"""Rules that stop a run before the last epoch, by the monitored values and without a state of their own.

Every rule is called `rule(values, mode=...)` after each epoch and answers whether to stop, and why.
"""

from holdfast.early_stopping.patience import patience

__all__ = [
    "patience",
]
