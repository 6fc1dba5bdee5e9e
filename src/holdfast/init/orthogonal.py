"""Random orthogonal matrices."""

from __future__ import annotations

import math
from functools import partial

from torch import nn

from holdfast.core.errors import require
from holdfast.init.filling import fill_layers


def orthogonal(model: nn.Module, *, gain: float = 1.0, bias: float = 0.0, zero_last: bool = False) -> None:
    """Random orthogonal matrices times `gain` (Saxe et al. 2014); a kernel as (out, in * height * width)."""
    require(0.0 < gain < math.inf, "init.gain", gain, "gain > 0")
    fill_layers(model, partial(nn.init.orthogonal_, gain=gain), bias, zero_last)
