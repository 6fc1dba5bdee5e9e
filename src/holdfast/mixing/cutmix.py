"""Images with a rectangle of another one."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.mixing.mixed import Mixed, check_arguments, draw_share, is_drawn


def cutmix(x: Tensor, *, alpha: float = 1.0, probability: float = 0.5) -> Mixed | None:
    """One rectangle of all images comes from their partners (Yun et al. 2019, algorithm 1).

    Its sides are sqrt(1 - share) of the image's with share ~ Beta(alpha, alpha); its centre is uniform and what leaves
    the image is cut off, after which the share is that of the pixels that stayed.

    Raises:
        InputError: `alpha` or `probability` is out of its range.
    """
    check_arguments(alpha, probability)
    if not is_drawn(probability):
        return None
    partner = torch.randperm(len(x), device=x.device)
    height, width = x.shape[2:]
    side = (1.0 - draw_share(alpha)) ** 0.5
    (top, bottom), (left, right) = _interval(height, side), _interval(width, side)
    mixed = x.clone()
    mixed[:, :, top:bottom, left:right] = x[partner, :, top:bottom, left:right]
    return Mixed(mixed, partner, 1.0 - (bottom - top) * (right - left) / (height * width))


def _interval(length: int, share: float) -> tuple[int, int]:
    """A piece of about `share` of `length` around a uniform centre, cut off at both ends."""
    centre, half = int(torch.randint(length, ())), int(length * share) // 2
    return max(centre - half, 0), min(centre + half, length)
