"""The protocol of initialisations, and the filling of layers that they share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

from holdfast.core.errors import require
from holdfast.models.head import weight_layers


class Init(Protocol):
    """An initialisation option."""

    def __call__(self, model: nn.Module) -> None:
        """Set the weights of `model` in place, by torch's global generator."""
        ...


def fill_layers(model: nn.Module, fill: Callable[[Tensor], Any], bias: float, zero_last: bool) -> None:
    """Fill the weights of all linear layers and convolutions and set their biases, in place.

    Args:
        model: What is initialised.
        fill: Fills a tensor of weights in place.
        bias: That of all layers.
        zero_last: Whether the layer that gives the logits is set to 0.
    """
    require(math.isfinite(bias), "init.bias", bias, "a finite number")
    layers = weight_layers(model)
    for layer in layers:
        fill(layer.weight)
        if layer.bias is not None:
            nn.init.constant_(layer.bias, bias)
    if zero_last:
        set_to_zero(layers[-1])


def set_to_zero(layer: Any) -> None:
    """Set weights and bias of a layer to 0, in place."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
