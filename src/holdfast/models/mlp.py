"""Multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from holdfast.models.layers import activation_of, check_sizes, dropout_of, one_hot_layers, vector_norm


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
        category_sizes: Indices of each category column, which come last in a row; they become one-hot.
        hidden: Units of each hidden layer.
        activation: A name of `layers.ACTIVATIONS`.
        norm: "none", "batch" (Ioffe and Szegedy 2015), "layer" (Ba et al. 2016) or "group" (Wu and He 2018).
        dropout: Share of hidden units set to zero in training.
    """
    check_sizes("model.hidden", hidden)
    layers, width = one_hot_layers(math.prod(input_shape), category_sizes)
    hiddens, width = hidden_layers(width, hidden, activation=activation, norm=norm, dropout=dropout)
    return nn.Sequential(*layers, *hiddens, nn.Linear(width, num_outputs))


def hidden_layers(
    width: int, hidden: Sequence[int], *, activation: str, norm: str, dropout: float
) -> tuple[list[nn.Module], int]:
    """Hidden layers over `width` numbers a row, and how many numbers come out; arguments as of `mlp`."""
    layers: list[nn.Module] = []
    for units in hidden:
        # a batch norm brings its own shift: the bias before it would do nothing
        layers += [nn.Linear(width, units, bias=norm != "batch"), *vector_norm(norm, units)]
        layers += [activation_of(activation), *dropout_of(dropout)]
        width = units
    return layers, width
