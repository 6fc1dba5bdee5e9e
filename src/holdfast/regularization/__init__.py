"""Terms that are added to the training loss; the losses that are reported are those of the data alone.

Every option is called `regularization(model)` in each training step. Weights are the parameters that also decay:
those with two or more dimensions, so that biases and norms are left out.
"""

from holdfast.regularization.l1 import l1
from holdfast.regularization.l1_l2 import l1_l2
from holdfast.regularization.l2 import l2

__all__ = [
    "l1",
    "l1_l2",
    "l2",
]
