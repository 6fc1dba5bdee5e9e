"""Linear model: least squares, logistic and softmax regression, by the loss it is trained with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from holdfast.models.layers import check_no_categories
from holdfast.models.layers import dropout as dropout_layer


def linear(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    category_sizes: Sequence[int] = (),
    bias: bool = True,
    dropout: float = 0.0,
) -> nn.Module:
    """One affine map from the flattened row, W x + b, to the logits; `dropout` sets inputs to zero in training."""
    check_no_categories("model=linear", category_sizes)
    return nn.Sequential(
        nn.Flatten(), *dropout_layer(dropout), nn.Linear(math.prod(input_shape), num_outputs, bias=bias)
    )
