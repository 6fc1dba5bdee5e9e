"""The mirror image."""

from __future__ import annotations

from torch import Tensor


def mirror(x: Tensor) -> list[Tensor]:
    """(n, C, H, W) -> the images, and the images with left and right exchanged."""
    return [x, x.flip(3)]
