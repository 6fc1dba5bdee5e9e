"""A picture of augmented train rows, for the eye: does a class survive what is done to it?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from holdfast.core.seeding import kept_random_state

AUGMENTED = "augmented.png"
NUM_VERSIONS = 7
MIN_SIDE = 64
GAP = 2


def write_augmented(path: Path, augmentation: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Draw each image, and to the right of it what the augmentation made of it, seven times.

    The random states are left as they were: a run with the picture is a run without it.

    Args:
        path: A PNG file.
        augmentation: Of images as they are stored.
        images: (n, H, W, C) uint8; the first three channels are drawn.
    """
    from PIL import Image

    with kept_random_state():
        columns = [images.float(), *(augmentation(images).float() for _ in range(NUM_VERSIONS))]
    # digits of 16 grey levels would be black: the brightest pixel of the originals is white
    tiles = torch.stack(columns, dim=1) * (255.0 / columns[0].max().clamp(min=1.0))
    tiles = torch.nn.functional.pad(tiles, (0, 0, GAP, GAP, GAP, GAP), value=255.0)
    rows, versions, height, width, channels = tiles.shape
    sheet = tiles.permute(0, 2, 1, 3, 4).reshape(rows * height, versions * width, channels)
    pixels = sheet.clamp(0, 255).to(torch.uint8).cpu().numpy()
    picture = Image.fromarray(pixels[..., :3] if channels >= 3 else pixels[..., 0])
    scale = -(-MIN_SIDE // min(height, width))
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(path)
