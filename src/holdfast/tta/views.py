"""Test-time augmentation: what a prediction looks at besides the image itself.

Convention of the group: `option(x)` gives views of a batch of images as the network sees them, each of the shape of
`x`. A prediction is made of the mean of the network's outputs (logits or values) over all views. The option is part of
a run's config, so that val metrics, the frozen model and every later prediction look at the same views.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.core.errors import InputError
from holdfast.core.targets import build_option


class Views(Protocol):
    """What an option of the group `tta` names."""

    def __call__(self, x: Tensor) -> list[Tensor]:
        """(n, C, H, W) -> views, each (n, C, H, W)."""
        ...


def build_views(node: Any, input_shape: Sequence[int]) -> Views | None:
    """The option `tta`, tried on two images.

    Raises:
        InputError: It refuses its arguments or the images, or gives views of another shape.
    """
    if not node:
        return None
    views: Views = build_option(node)
    images = torch.zeros(2, *input_shape)
    try:
        shapes = {tuple(view.shape) for view in views(images)}
    except InputError:
        raise
    except Exception as error:  # a user's own code may raise anything
        raise InputError("tta", f"cannot be built ({type(error).__name__}: {error})", next="tta=none") from error
    if shapes != {tuple(images.shape)}:
        raise InputError("tta", f"gives views of {sorted(shapes)} of images {tuple(images.shape)}", "the same shape")
    return views


def mirror_shift(x: Tensor, *, mirror: bool = True, shift: int = 0) -> list[Tensor]:
    """The image, moved by `shift` pixels up, down, left and right, and all of these mirrored.

    Args:
        x: (n, C, H, W).
        mirror: Whether left and right are exchanged as well.
        shift: Pixels; the border is repeated. 0: not moved.

    Returns:
        1, 2, 5 or 10 views, the image itself first.

    Raises:
        InputError: `shift` is negative or not smaller than the image.
    """
    height, width = x.shape[2:]
    if not 0 <= shift < min(height, width):
        raise InputError("tta.shift", f"is {shift}", allowed=f"0 to {min(height, width) - 1} pixels")
    views = [x]
    if shift:
        padded = functional.pad(x, (shift,) * 4, mode="replicate")
        corners = ((0, shift), (2 * shift, shift), (shift, 0), (shift, 2 * shift))
        views += [padded[:, :, top : top + height, left : left + width] for top, left in corners]
    return [*views, *(view.flip(3) for view in views)] if mirror else views
