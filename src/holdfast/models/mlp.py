"""Multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from holdfast.models.layers import activation as activation_layer
from holdfast.models.layers import check_no_categories, check_sizes, vector_norm
from holdfast.models.layers import dropout as dropout_layer


def mlp(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    category_sizes: Sequence[int] = (),
    hidden: Sequence[int] = (128, 64),
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
) -> nn.Module:
    """Hidden layers of linear map, norm, activation and dropout, then a linear map to the logits.

    Args:
        input_shape: Shape of one row; images are flattened.
        num_outputs: Logits a row.
        category_sizes: Must be empty: this model takes numbers only.
        hidden: Units of each hidden layer.
        activation: A name of `layers.ACTIVATIONS`.
        norm: "none", "batch" (Ioffe and Szegedy 2015), "layer" (Ba et al. 2016) or "group" (Wu and He 2018).
        dropout: Share of hidden units set to zero in training.
    """
    check_no_categories("model=mlp", category_sizes)
    check_sizes("model.hidden", hidden)
    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(input_shape)
    for units in hidden:
        # a batch norm brings its own shift: the bias before it would do nothing
        layers += [nn.Linear(width, units, bias=norm != "batch"), *vector_norm(norm, units)]
        layers += [activation_layer(activation), *dropout_layer(dropout)]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, num_outputs))
