"""Test-time augmentation: what a prediction looks at besides the image itself.

Every option is called `tta(x)` and gives views of a batch of images as the network sees them, each of the shape of
`x`. A prediction is made of the mean of the network's outputs (logits or values) over all views. The option is part of
a run's config, so that val metrics, the frozen model and every later prediction look at the same views.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.config.resolve import build_option
from holdfast.core.errors import InputError, blamed, require

__all__ = ["mirror", "mirror_shift", "shift"]


class Views(Protocol):
    """An option of test-time augmentation."""

    def __call__(self, x: Tensor) -> list[Tensor]:
        """(n, C, H, W) -> views, each (n, C, H, W)."""
        ...


def mirror(x: Tensor) -> list[Tensor]:
    """(n, C, H, W) -> the images, and the images with left and right exchanged."""
    return [x, x.flip(3)]


def shift(x: Tensor, *, pixels: int = 1) -> list[Tensor]:
    """(n, C, H, W) -> the images, and the images moved up, down, left and right; the border is repeated."""
    height, width = x.shape[2:]
    require(1 <= pixels < min(height, width), "tta.pixels", pixels, f"1 to {min(height, width) - 1}")
    padded = functional.pad(x, (pixels,) * 4, mode="replicate")
    corners = ((0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels))
    return [x, *(padded[:, :, top : top + height, left : left + width] for top, left in corners)]


def mirror_shift(x: Tensor, *, pixels: int = 1) -> list[Tensor]:
    """(n, C, H, W) -> ten views: the images, moved up, down, left and right, and the mirror images of all these."""
    views = shift(x, pixels=pixels)
    return [*views, *(view.flip(3) for view in views)]


def build_views(node: Any, input_shape: Sequence[int]) -> Views | None:
    """Build the option `tta` and try it on two images; views of another shape are refused."""
    if not node:
        return None
    views: Views = build_option(node)
    images = torch.zeros(2, *input_shape)
    with blamed("tta", "cannot be built", next="tta=none"):
        shapes = {tuple(view.shape) for view in views(images)}
    if shapes != {tuple(images.shape)}:
        raise InputError("tta", f"gives views of {sorted(shapes)} of images {tuple(images.shape)}", "the same shape")
    return views
