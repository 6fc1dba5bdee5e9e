"""Test-time augmentation: what a prediction looks at besides the image itself.

Every option is called `tta(x)` and gives views of a batch of images as the network sees them, each of the shape of
`x`. A prediction is made of the mean of the network's outputs (logits or values) over all views. The option is part of
a run's config, so that val metrics, the frozen model and every later prediction look at the same views.
"""

from holdfast.tta.mirror import mirror
from holdfast.tta.mirror_shift import mirror_shift
from holdfast.tta.shift import shift

__all__ = [
    "mirror",
    "mirror_shift",
    "shift",
]
