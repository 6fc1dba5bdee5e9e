"""Linear model: least squares, logistic and softmax regression, by the loss it is trained with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from holdfast.models.layers import check_no_categories


def linear(
    *, input_shape: Sequence[int], num_outputs: int, category_sizes: Sequence[int] = (), bias: bool = True
) -> nn.Module:
    """One affine map from the flattened row, W x + b, to the logits."""
    check_no_categories("model=linear", category_sizes)
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), num_outputs, bias=bias))
