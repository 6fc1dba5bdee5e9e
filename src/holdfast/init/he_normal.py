"""The normal distribution of He et al."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn

from holdfast.init.filling import fill_layers


def he_normal(
    model: nn.Module, *, mode: Literal["fan_in", "fan_out"] = "fan_in", bias: float = 0.0, zero_last: bool = False
) -> None:
    """Normal with variance 2 / fan (He et al. 2015, equation 10 or, with fan_out, 14)."""
    fill_layers(model, partial(nn.init.kaiming_normal_, mode=mode, nonlinearity="relu"), bias, zero_last)
