"""Equal outputs before the first step."""

from __future__ import annotations

from torch import nn

from holdfast.init.filling import set_to_zero
from holdfast.models.head import weight_layers


def zero_last(model: nn.Module) -> None:
    """Weights and bias of the layer that gives the logits are 0; all others stay as torch has made them."""
    set_to_zero(weight_layers(model)[-1])
