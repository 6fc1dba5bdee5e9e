"""Initial weights of linear layers and convolutions; norms keep torch's own.

Every option is called `init(model)` and sets the weights in place, by torch's global generator.
All but `zero_last` set biases to `bias`. The layer that gives the logits is the last linear layer or convolution of
`model.modules()`; starting it at 0 gives equal outputs, and the loss of chance, before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from holdfast.core.errors import require
from holdfast.models.head import weight_layers

__all__ = ["he_normal", "he_uniform", "orthogonal", "small_random", "xavier_normal", "xavier_uniform", "zero_last"]


def he_normal(
    model: nn.Module, *, mode: Literal["fan_in", "fan_out"] = "fan_in", bias: float = 0.0, zero_last: bool = False
) -> None:
    """Normal with variance 2 / fan (He et al. 2015, equation 10 or, with fan_out, 14)."""
    _fill_layers(model, partial(nn.init.kaiming_normal_, mode=mode, nonlinearity="relu"), bias, zero_last)


def he_uniform(
    model: nn.Module, *, mode: Literal["fan_in", "fan_out"] = "fan_in", bias: float = 0.0, zero_last: bool = False
) -> None:
    """Uniform with variance 2 / fan (He et al. 2015, equation 10 or, with fan_out, 14)."""
    _fill_layers(model, partial(nn.init.kaiming_uniform_, mode=mode, nonlinearity="relu"), bias, zero_last)


def xavier_normal(model: nn.Module, *, gain: float = 1.0, bias: float = 0.0, zero_last: bool = False) -> None:
    """Normal with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 12)."""
    _require_positive("gain", gain)
    _fill_layers(model, partial(nn.init.xavier_normal_, gain=gain), bias, zero_last)


def xavier_uniform(model: nn.Module, *, gain: float = 1.0, bias: float = 0.0, zero_last: bool = False) -> None:
    """Uniform with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 16)."""
    _require_positive("gain", gain)
    _fill_layers(model, partial(nn.init.xavier_uniform_, gain=gain), bias, zero_last)


def orthogonal(model: nn.Module, *, gain: float = 1.0, bias: float = 0.0, zero_last: bool = False) -> None:
    """Random orthogonal matrices times `gain` (Saxe et al. 2014); a kernel as (out, in * height * width)."""
    _require_positive("gain", gain)
    _fill_layers(model, partial(nn.init.orthogonal_, gain=gain), bias, zero_last)


def small_random(model: nn.Module, *, std: float = 0.01, bias: float = 0.0, zero_last: bool = False) -> None:
    """Normal with mean 0 and standard deviation `std`, whatever the layer's size."""
    _require_positive("std", std)
    _fill_layers(model, partial(nn.init.normal_, std=std), bias, zero_last)


def zero_last(model: nn.Module) -> None:
    """Weights and bias of the layer that gives the logits are 0; all others stay as torch has made them."""
    _fill(weight_layers(model)[-1], nn.init.zeros_, 0.0)


def _fill_layers(model: nn.Module, fill: Callable[[Tensor], Any], bias: float, with_zero_last: bool) -> None:
    """Fill the weights of all linear layers and convolutions and set their biases, in place."""
    require(math.isfinite(bias), "init.bias", bias, "a finite number")
    for layer in weight_layers(model):
        _fill(layer, fill, bias)
    if with_zero_last:
        zero_last(model)


def _fill(layer: Any, fill: Callable[[Tensor], Any], bias: float) -> None:
    fill(layer.weight)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, bias)


def _require_positive(name: str, value: float) -> None:
    require(0.0 < value < math.inf, f"init.{name}", value, f"{name} > 0")
