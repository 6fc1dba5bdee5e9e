"""Linear model: least squares, logistic and softmax regression, by the loss it is trained with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from holdfast.models.layers import dropout_of, one_hot_layers


def linear(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    category_sizes: Sequence[int] = (),
    bias: bool = True,
    dropout: float = 0.0,
) -> nn.Module:
    """One affine map from the flattened row, categories one-hot, W x + b, to the logits.

    `dropout` sets inputs to zero in training.
    """
    layers, width = one_hot_layers(math.prod(input_shape), category_sizes)
    return nn.Sequential(*layers, *dropout_of(dropout), nn.Linear(width, num_outputs, bias=bias))
