"""Train rows made of two: mixup and cutmix. The loss of such a row is that of both targets, by their shares.

Every option is called `mixing(x)` on a batch and gives a `holdfast.mixing.mixed.Mixed`, or None where the batch stays
as it is. share * loss(outputs, y) + (1 - share) * loss(outputs, y of the partners) is the loss of the soft target
wherever that is linear in the target, as cross-entropies are, smoothed or not. With class weights it is the weighted
mean over both targets of all rows, because partners are a permutation of the batch.

kornia's mixup draws its share from a uniform distribution, and its cutmix takes one class a row: neither is used.
"""

from holdfast.mixing.cutmix import cutmix
from holdfast.mixing.mixup import mixup

__all__ = [
    "cutmix",
    "mixup",
]
