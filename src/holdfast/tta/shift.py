"""Images moved by some pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from holdfast.core.errors import require


def shift(x: Tensor, *, pixels: int = 1) -> list[Tensor]:
    """(n, C, H, W) -> the images, and the images moved up, down, left and right; the border is repeated.

    Raises:
        InputError: `pixels` is below 1 or not smaller than the image.
    """
    height, width = x.shape[2:]
    require(1 <= pixels < min(height, width), "tta.pixels", pixels, f"1 to {min(height, width) - 1}")
    padded = functional.pad(x, (pixels,) * 4, mode="replicate")
    corners = ((0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels))
    return [x, *(padded[:, :, top : top + height, left : left + width] for top, left in corners)]
