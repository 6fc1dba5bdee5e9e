"""The normal distribution of Glorot and Bengio."""

from __future__ import annotations

import math
from functools import partial

from torch import nn

from holdfast.core.errors import require
from holdfast.init.filling import fill_layers


def xavier_normal(model: nn.Module, *, gain: float = 1.0, bias: float = 0.0, zero_last: bool = False) -> None:
    """Normal with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 12)."""
    require(0.0 < gain < math.inf, "init.gain", gain, "gain > 0")
    fill_layers(model, partial(nn.init.xavier_normal_, gain=gain), bias, zero_last)
