"""Train rows made of two: mixup and cutmix. The loss of such a row is that of both targets, by their shares.

Every option is called `mixing(x)` on a batch and gives a `Mixed`, or None where the batch stays as it is.
share * loss(outputs, y) + (1 - share) * loss(outputs, y of the partners) is the loss of the soft target wherever that
is linear in the target, as cross-entropies are, smoothed or not. With class weights it is the weighted mean over both
targets of all rows, because partners are a permutation of the batch.

kornia's mixup draws its share from a uniform distribution, and its cutmix takes one class a row: neither is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from holdfast.config.resolve import build_option
from holdfast.core.errors import InputError, require
from holdfast.core.seeding import kept_random_state
from holdfast.core.tasks import task_of

__all__ = ["cutmix", "mixup"]


@dataclass(frozen=True)
class Mixed:
    """A batch of mixed rows."""

    x: Tensor  # of the shape of the rows
    partner: Tensor  # (n,) the row that each one is mixed with
    share: float  # of the row itself, in 0..1; the partner has the rest

    def main_targets(self, y: Tensor) -> Tensor:
        """The target with the larger share: what metrics of mixed rows compare with."""
        return y if self.share >= 0.5 else y[self.partner]


class Mixing(Protocol):
    """A mixing option."""

    def __call__(self, x: Tensor) -> Mixed | None:
        """Mix a batch of rows as the network sees them; None: this batch stays as it is."""
        ...


def mixup(x: Tensor, *, alpha: float = 0.2, probability: float = 1.0) -> Mixed | None:
    """share * x + (1 - share) * x of the partners (Zhang et al. 2018, equation 1).

    The share is drawn from Beta(alpha, alpha), one a batch.
    """
    if not _is_drawn(alpha, probability):
        return None
    share, partner = _draw_share(alpha), torch.randperm(len(x), device=x.device)
    return Mixed(torch.lerp(x[partner], x, share), partner, share)


def cutmix(x: Tensor, *, alpha: float = 1.0, probability: float = 0.5) -> Mixed | None:
    """One rectangle of all images comes from their partners (Yun et al. 2019, algorithm 1).

    Its sides are sqrt(1 - share) of the image's with share ~ Beta(alpha, alpha); its centre is uniform and what leaves
    the image is cut off, after which the share is that of the pixels that stayed.
    """
    if not _is_drawn(alpha, probability):
        return None
    partner = torch.randperm(len(x), device=x.device)
    height, width = x.shape[2:]
    side = (1.0 - _draw_share(alpha)) ** 0.5
    (top, bottom), (left, right) = _interval(height, side), _interval(width, side)
    mixed = x.clone()
    mixed[:, :, top:bottom, left:right] = x[partner, :, top:bottom, left:right]
    return Mixed(mixed, partner, 1.0 - (bottom - top) * (right - left) / (height * width))


def build_mixing(node: Any, task: str, input_shape: Sequence[int]) -> Mixing | None:
    """Build the option `mixing` and try it on two rows; one that does not fit the task is refused."""
    if not node:
        return None
    if task_of(task).is_values:
        raise InputError("mixing", "makes rows of two classes, and this is a regression", next="mixing=none")
    mixing: Mixing = build_option(node)
    with kept_random_state():
        mixing(torch.zeros(2, *input_shape))
    return mixing


def _is_drawn(alpha: float, probability: float) -> bool:
    """Draw whether this batch is mixed."""
    require(0.0 < alpha < math.inf, "mixing.alpha", alpha, "a positive number")
    require(0.0 <= probability <= 1.0, "mixing.probability", probability, "0 to 1")
    return probability == 1.0 or float(torch.rand(())) < probability


def _draw_share(alpha: float) -> float:
    """Draw the share of the rows themselves from Beta(alpha, alpha)."""
    return float(torch.distributions.Beta(alpha, alpha).sample())


def _interval(length: int, share: float) -> tuple[int, int]:
    """A piece of about `share` of `length` around a uniform centre, cut off at both ends."""
    centre, half = int(torch.randint(length, ())), int(length * share) // 2
    return max(centre - half, 0), min(centre + half, length)
