"""A narrow normal distribution."""

from __future__ import annotations

import math
from functools import partial

from torch import nn

from holdfast.core.errors import require
from holdfast.init.filling import fill_layers


def small_random(model: nn.Module, *, std: float = 0.01, bias: float = 0.0, zero_last: bool = False) -> None:
    """Normal with mean 0 and standard deviation `std`, whatever the layer's size."""
    require(0.0 < std < math.inf, "init.std", std, "std > 0")
    fill_layers(model, partial(nn.init.normal_, std=std), bias, zero_last)
