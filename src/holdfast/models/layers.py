"""Activations and norms by name; categories as one-hot numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from holdfast.core.errors import InputError, did_you_mean, require

T = TypeVar("T")

# of a group norm (Wu and He 2018), or as many of them as divide the width evenly
NORM_GROUPS = 8
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "gelu": nn.GELU,
    "silu": lambda: nn.SiLU(inplace=True),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation_of(name: str) -> nn.Module:
    """The activation called `name`."""
    return _named("model.activation", name, ACTIVATIONS)()


def vector_norm(name: str, features: int) -> list[nn.Module]:
    """The norm called `name`, "none", "batch", "layer" or "group", over `features` of (rows, features), or no layer."""
    return _norm(name, features, nn.BatchNorm1d, nn.LayerNorm)


def image_norm(name: str, channels: int) -> list[nn.Module]:
    """The norm called `name` over `channels` of (rows, channels, height, width), or no layer."""
    return _norm(name, channels, nn.BatchNorm2d, partial(nn.GroupNorm, 1))


def dropout_of(probability: float) -> list[nn.Module]:
    """Dropout (Srivastava et al. 2014) of a share in [0, 1) of the units.

    For 0 a layer that does nothing, so that weights have the same names with and without dropout: a pretrained body
    can be tuned with more of it.
    """
    require(0.0 <= probability < 1.0, "model.dropout", probability, "0 <= dropout < 1")
    return [nn.Dropout(probability) if probability > 0 else nn.Identity()]


def laid_out(model: nn.Module, channels_last: bool) -> nn.Module:
    """`model` with its kernels in channels-last order if asked for: the same values, often faster convolutions.

    A convolution follows the layout of its kernel, so inputs need not be laid out anew. On two CPU cores a ResNet-9
    takes two thirds of the time, networks of narrow maps may take longer.
    """
    return model.to(memory_format=torch.channels_last) if channels_last else model  # type: ignore[call-overload]


class OneHot(nn.Module):
    """(rows, numbers + columns) -> (rows, numbers + known categories): 1 where a category is, 0 elsewhere.

    Args:
        category_sizes: Indices of each of the last columns; 0, the unknown category, becomes zeros alone.
    """

    column: Tensor
    category: Tensor

    def __init__(self, category_sizes: Sequence[int]) -> None:
        super().__init__()
        pairs = [(place, index) for place, size in enumerate(category_sizes) for index in range(1, size)]
        self.num_columns = len(category_sizes)
        self.num_known = len(pairs)
        self.register_buffer("column", torch.tensor([place for place, _ in pairs], dtype=torch.int64), persistent=False)
        self.register_buffer("category", torch.tensor([float(index) for _, index in pairs]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Numbers as they are, then the categories, in the order of the columns and their indices."""
        numbers, indices = x[:, : -self.num_columns], x[:, -self.num_columns :]
        return torch.cat([numbers, (indices.index_select(1, self.column) == self.category).to(x.dtype)], dim=1)


def one_hot_layers(width: int, category_sizes: Sequence[int]) -> tuple[list[nn.Module], int]:
    """Flattens rows of `width` numbers, with categories one-hot; and how many numbers come out."""
    if not category_sizes:
        return [nn.Flatten()], width
    one_hot = OneHot(category_sizes)
    return [nn.Flatten(), one_hot], width - one_hot.num_columns + one_hot.num_known


def check_sizes(where: str, sizes: Sequence[int]) -> None:
    """Refuse layer sizes below 1."""
    require(all(size >= 1 for size in sizes), where, list(sizes), "whole numbers from 1")


def check_image(where: str, input_shape: Sequence[int], *, least_side: int = 1) -> None:
    """Refuse rows that are no images of (channels, height, width), or too small ones."""
    if len(input_shape) != 3:
        shape = " x ".join(map(str, input_shape))
        raise InputError(where, f"takes images; a row of this data has the shape {shape}", next="model=mlp")
    _, height, width = input_shape
    if min(height, width) < least_side:
        problem = f"{height} x {width} pixels are too few"
        raise InputError(where, problem, f"at least {least_side} x {least_side}", "fewer layers that halve them")


def _norm(
    name: str, width: int, batch: Callable[[int], nn.Module], layer: Callable[[int], nn.Module]
) -> list[nn.Module]:
    norms: dict[str, Callable[[], list[nn.Module]]] = {
        "none": lambda: [],
        "batch": lambda: [batch(width)],
        "layer": lambda: [layer(width)],
        "group": lambda: [nn.GroupNorm(math.gcd(NORM_GROUPS, width), width)],
    }
    return _named("model.norm", name, norms)()


def _named(where: str, name: str, options: Mapping[str, T]) -> T:
    if name not in options:
        raise InputError(where, f"unknown name '{name}'", allowed=", ".join(options), next=did_you_mean(name, options))
    return options[name]
