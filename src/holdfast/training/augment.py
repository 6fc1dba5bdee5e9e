"""What is done to train rows alone: the options `augment` and `mixing`, built and tried before training."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.core.seeding import random_states, restore_random_states
from holdfast.core.targets import build_option
from holdfast.data.augment import Augmentation, Step
from holdfast.mixing.mixed import Mixing


def check_images_only(config: Mapping[str, Any], kind: str) -> None:
    """Refuse what is done to images where rows are none.

    Raises:
        InputError: For `augment`, `tta`, or a `mixing` that cuts.
    """
    if kind == "image":
        return
    cuts = str((config.get("mixing") or {}).get("_target_", "")).endswith("cutmix")
    wants = {"augment": config.get("augment"), "tta": config.get("tta"), "mixing": cuts}
    what = f"takes images, and a row of this data is {'an array' if kind == 'array' else 'a table row'}"
    raise_problems([Problem(name, what, next=f"{name}=none") for name, is_wanted in wants.items() if is_wanted])


def build_augmentation(nodes: Mapping[str, Any] | None, input_shape: Sequence[int]) -> Augmentation | None:
    """The steps of the option `augment`, tried on two images.

    Raises:
        InputError: A step refuses its arguments or the images, or changes their shape.
    """
    if not nodes:
        return None
    states = random_states()
    steps = [_tried_step(f"augment.{name}", node, input_shape) for name, node in nodes.items()]
    restore_random_states(states)
    return Augmentation(steps)


def _tried_step(where: str, node: Any, input_shape: Sequence[int]) -> Step:
    images = torch.zeros(2, *input_shape)
    try:
        step = _build_step(node, tuple(input_shape[1:]))
        answer: Any = step(images)
    except Exception as error:  # kornia and a user's own code raise anything
        said = (str(error).splitlines() or [type(error).__name__])[0]
        shape = " x ".join(map(str, input_shape))
        raise InputError(where, f"does not take images of {shape} ({said})", next="augment=none") from None
    if not isinstance(answer, Tensor) or answer.shape != images.shape or not answer.is_floating_point():
        shape = str(tuple(answer.shape)) if isinstance(answer, Tensor) else type(answer).__name__
        raise InputError(where, f"makes {shape} of images {tuple(images.shape)}", "floats of the same shape")
    return step


def _build_step(node: Any, size: tuple[int, ...]) -> Step:
    """A step; a class is called with the images' size where it names it, a function is the step itself."""
    if (padding := node.get("padding")) is not None and torch.as_tensor(padding).min() < 0:  # kornia would cut instead
        raise ValueError(f"padding is {padding}, and allowed are numbers from 0")
    step: Any = build_option(node)
    if not isinstance(step, partial):
        return step  # type: ignore[no-any-return]
    needs_size = "size" in inspect.signature(step.func).parameters
    if inspect.isclass(step.func):
        return step(size=size) if needs_size else step()  # type: ignore[no-any-return]
    return partial(step, size=size) if needs_size else step


def build_mixing(node: Any, task: str, input_shape: Sequence[int]) -> Mixing | None:
    """The option `mixing`, tried on two rows.

    Raises:
        InputError: Rows of this task cannot be mixed, or an argument is out of its range.
    """
    if not node:
        return None
    if task == "regression":
        raise InputError("mixing", "makes rows of two classes, and this is a regression", next="mixing=none")
    mixing: Mixing = build_option(node)
    states = random_states()
    mixing(torch.zeros(2, *input_shape))
    restore_random_states(states)
    return mixing
