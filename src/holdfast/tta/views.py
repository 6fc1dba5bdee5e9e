"""The protocol of views, and the building of an option."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from holdfast.config.resolve import build_option
from holdfast.core.errors import InputError


class Views(Protocol):
    """An option of test-time augmentation."""

    def __call__(self, x: Tensor) -> list[Tensor]:
        """(n, C, H, W) -> views, each (n, C, H, W)."""
        ...


def build_views(node: Any, input_shape: Sequence[int]) -> Views | None:
    """Build the option `tta` and try it on two images.

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
