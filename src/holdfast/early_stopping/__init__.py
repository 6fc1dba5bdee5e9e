"""When to stop before the last epoch: rules over the monitored values, without a state of their own.

Every rule is called `rule(values, mode=...)` after each epoch and answers whether to stop, and why.
"""

from holdfast.early_stopping.patience import patience

__all__ = [
    "patience",
]
