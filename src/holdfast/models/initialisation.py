"""Initial weights of linear layers and convolutions; norms keep torch's own. Every option is called `init(model)`.

All but `zero_last` set biases to 0. The layer that gives the logits is the last linear layer or convolution of
`model.modules()`; starting it at 0 gives equal outputs, and the loss of chance, before the first step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from holdfast.core.errors import InputError

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Init(Protocol):
    """An initialisation option."""

    def __call__(self, model: nn.Module) -> None:
        """Set the weights of `model` in place, by torch's global generator."""
        ...


def xavier_uniform(model: nn.Module, *, gain: float = 1.0, zero_last: bool = False) -> None:
    """Uniform with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 16)."""
    _check_positive("gain", gain)
    _fill(model, partial(nn.init.xavier_uniform_, gain=gain), zero_last)


def xavier_normal(model: nn.Module, *, gain: float = 1.0, zero_last: bool = False) -> None:
    """Normal with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 12)."""
    _check_positive("gain", gain)
    _fill(model, partial(nn.init.xavier_normal_, gain=gain), zero_last)


def he_uniform(model: nn.Module, *, mode: Literal["fan_in", "fan_out"] = "fan_in", zero_last: bool = False) -> None:
    """Uniform with variance 2 / fan (He et al. 2015, equation 10 or, with fan_out, 14)."""
    _fill(model, partial(nn.init.kaiming_uniform_, mode=mode, nonlinearity="relu"), zero_last)


def he_normal(model: nn.Module, *, mode: Literal["fan_in", "fan_out"] = "fan_in", zero_last: bool = False) -> None:
    """Normal with variance 2 / fan (He et al. 2015, equation 10 or, with fan_out, 14)."""
    _fill(model, partial(nn.init.kaiming_normal_, mode=mode, nonlinearity="relu"), zero_last)


def orthogonal(model: nn.Module, *, gain: float = 1.0, zero_last: bool = False) -> None:
    """Random orthogonal matrices times `gain` (Saxe et al. 2014); a kernel as (out, in * height * width)."""
    _check_positive("gain", gain)
    _fill(model, partial(nn.init.orthogonal_, gain=gain), zero_last)


def small_random(model: nn.Module, *, std: float = 0.01, zero_last: bool = False) -> None:
    """Normal with mean 0 and standard deviation `std`, whatever the layer's size."""
    _check_positive("std", std)
    _fill(model, partial(nn.init.normal_, std=std), zero_last)


def zero_last(model: nn.Module) -> None:
    """Weights and bias of the layer that gives the logits are 0; all others stay as torch has made them."""
    _zero(_layers(model)[-1])


def _fill(model: nn.Module, fill: Callable[[Tensor], Any], zero_last: bool) -> None:
    layers = _layers(model)
    for layer in layers:
        fill(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    if zero_last:
        _zero(layers[-1])


def _layers(model: nn.Module) -> list[Any]:
    found = [module for module in model.modules() if isinstance(module, LAYERS)]
    if not found:
        raise InputError("init", "the model has no linear layer and no convolution", next="init=default")
    return found


def _zero(layer: Any) -> None:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _check_positive(name: str, value: float) -> None:
    if not 0.0 < value < float("inf"):
        raise InputError(f"init.{name}", f"is {value}", allowed=f"{name} > 0")
