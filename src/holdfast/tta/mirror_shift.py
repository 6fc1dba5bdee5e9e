"""Moved images and their mirror images."""

from __future__ import annotations

from torch import Tensor

from holdfast.tta.shift import shift


def mirror_shift(x: Tensor, *, pixels: int = 1) -> list[Tensor]:
    """(n, C, H, W) -> ten views: the images, moved up, down, left and right, and the mirror images of all these.

    Raises:
        InputError: As `shift`.
    """
    views = shift(x, pixels=pixels)
    return [*views, *(view.flip(3) for view in views)]
