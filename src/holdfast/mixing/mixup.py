"""Rows that are weighted means of two."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.mixing.mixed import Mixed, check_arguments, draw_share, is_drawn


def mixup(x: Tensor, *, alpha: float = 0.2, probability: float = 1.0) -> Mixed | None:
    """share * x + (1 - share) * x of the partners, share ~ Beta(alpha, alpha), one a batch (Zhang et al. 2018, eq. 1).

    Raises:
        InputError: `alpha` or `probability` is out of its range.
    """
    check_arguments(alpha, probability)
    if not is_drawn(probability):
        return None
    share, partner = draw_share(alpha), torch.randperm(len(x), device=x.device)
    return Mixed(torch.lerp(x[partner], x, share), partner, share)
