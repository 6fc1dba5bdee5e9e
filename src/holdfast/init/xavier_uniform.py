"""The uniform distribution of Glorot and Bengio."""

from __future__ import annotations

import math
from functools import partial

from torch import nn

from holdfast.core.errors import require
from holdfast.init.filling import fill_layers


def xavier_uniform(model: nn.Module, *, gain: float = 1.0, bias: float = 0.0, zero_last: bool = False) -> None:
    """Uniform with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 16)."""
    require(0.0 < gain < math.inf, "init.gain", gain, "gain > 0")
    fill_layers(model, partial(nn.init.xavier_uniform_, gain=gain), bias, zero_last)
