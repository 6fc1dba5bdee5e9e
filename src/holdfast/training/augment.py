"""Augmentation of train rows: whole batches of images, on the device, in front of the transform.

Convention of the group: an option holds named steps, called in their order. A step is a module or function of float32
images (n, C, H, W) in 0..1 that gives images of the same shape; one that names the argument `size` is handed (H, W).
The steps are kornia's own, imported when one is chosen. All they draw comes from torch's global generators, whose
states checkpoints hold: a resumed run draws what an uninterrupted one would have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from holdfast.config.resolve import build_option, is_itself, named
from holdfast.core.errors import InputError, Problem, blamed, raise_problems
from holdfast.core.seeding import kept_random_state

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


def check_images_only(config: Mapping[str, Any], kind: str) -> None:
    """Refuse what is done to images where rows are none."""
    if kind == "image":
        return
    cuts = str((config.get("mixing") or {}).get("_target_", "")).endswith("cutmix")
    wants = {"augment": config.get("augment"), "tta": config.get("tta"), "mixing": cuts}
    problem = f"takes images, and a row of this data is {'an array' if kind == 'array' else 'a table row'}"
    raise_problems([Problem(name, problem, next=f"{name}=none") for name, is_wanted in wants.items() if is_wanted])


def build_augmentation(nodes: Mapping[str, Any] | None, input_shape: Sequence[int]) -> Augmentation | None:
    """Build the steps of the option `augment` and try each on two images; one that changes their shape is refused."""
    if not nodes:
        return None
    with kept_random_state():
        return Augmentation([_tried_step(f"augment.{name}", node, input_shape) for name, node in nodes.items()])


def _tried_step(where: str, node: Any, input_shape: Sequence[int]) -> Step:
    images, shape = torch.zeros(2, *input_shape), " x ".join(map(str, input_shape))
    if (padding := node.get("padding")) is not None and torch.as_tensor(padding).min() < 0:  # kornia would cut instead
        raise InputError(f"{where}.padding", f"is {padding}", "numbers from 0")
    with blamed(where, f"does not take images of {shape}", next="augment=none"):
        step = _build_step(node, tuple(input_shape[1:]))
        answer: Any = step(images)
    if not isinstance(answer, Tensor) or answer.shape != images.shape or not answer.is_floating_point():
        shape = str(tuple(answer.shape)) if isinstance(answer, Tensor) else type(answer).__name__
        raise InputError(where, f"makes {shape} of images {tuple(images.shape)}", "floats of the same shape")
    return step


def _build_step(node: Any, size: tuple[int, ...]) -> Step:
    """A step: a function of images itself, or what a class or another function makes, given the images' size."""
    option = build_option(node)
    supplied = named(option, {"size": size})
    if is_itself("augment", option.func, option.keywords):
        return partial(option, **supplied)
    step: Step = option(**supplied)
    return step
