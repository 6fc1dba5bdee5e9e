"""Augmentation of train rows: whole batches of images, on the device, in front of the transform.

Convention of the group: an option holds named steps, called in their order. A step is a module or function of float32
images (n, C, H, W) in 0..1 that gives images of the same shape; one that names the argument `size` is handed (H, W).
The steps are kornia's own, imported when one is chosen. All they draw comes from torch's global generators, whose
states checkpoints hold: a resumed run draws what an uninterrupted one would have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

MAX_PIXEL = 255.0

Step = Callable[[Tensor], Tensor]


class Augmentation:
    """The steps of an option as one function of images as they are stored.

    It is no module: what it draws is no part of the network's state.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """(n, H, W, C) uint8 images -> float32 images of the same layout and scale."""
        # matrices of rotations in bfloat16 would move the pixels of the border
        with torch.autocast(x.device.type, enabled=False):
            images = x.permute(0, 3, 1, 2).to(torch.float32).div_(MAX_PIXEL)
            for step in self.steps:
                images = step(images)
            return (images * MAX_PIXEL).permute(0, 2, 3, 1)
