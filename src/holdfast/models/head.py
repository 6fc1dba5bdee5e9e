"""The parts of a network: the layer that gives the logits, its head, and all before it, its body."""

from __future__ import annotations

from typing import Any

from torch import nn

from holdfast.core.errors import InputError

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def weight_layers(model: nn.Module) -> list[Any]:
    """Linear layers and convolutions, in the order of `model.modules()`, at least one; the last one is the head."""
    layers = [module for module in model.modules() if isinstance(module, LAYERS)]
    if not layers:
        raise InputError("model", "has no linear layer and no convolution")
    return layers


def head_names(model: nn.Module) -> frozenset[str]:
    """The names in `model.state_dict()` that belong to the head."""
    head = weight_layers(model)[-1]
    place = next(name for name, module in model.named_modules() if module is head)
    return frozenset(f"{place}.{name}" if place else name for name in head.state_dict())


def body_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters before the head, by name; a model that has none is refused."""
    head = head_names(model)
    parameters = {name: parameter for name, parameter in model.named_parameters() if name not in head}
    if not parameters:
        raise InputError("model", "has no body: its only layer gives the logits")
    return parameters
