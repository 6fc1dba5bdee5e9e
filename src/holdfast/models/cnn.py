"""A small convolutional network for small images (LeNet's layout with batch norm)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from holdfast.core.errors import require
from holdfast.models.layers import (
    activation_of,
    check_image,
    check_sizes,
    dropout_of,
    image_norm,
    laid_out,
    vector_norm,
)


def cnn(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    channels: Sequence[int] = (16, 32),
    kernel_size: int = 3,
    hidden: int = 64,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
    channels_last: bool = False,
) -> nn.Module:
    """Blocks of convolution, norm, 2x2 max pooling and activation, then one hidden layer and the logits.

    Every block halves height and width (LeCun et al. 1998, figure 2, with max pooling).

    Args:
        input_shape: (channels, height, width); height and width at least 2 ** len(channels).
        channels: Feature maps of each block.
        kernel_size: Odd side of the kernels; borders are padded with zeros.
        hidden: Units of the hidden layer.
        activation, norm: As of `mlp`.
        dropout: Share of units set to zero in training, in front of the last two layers.
        channels_last: Kernels in this order; see `layers.laid_out`.
    """
    check_sizes("model.channels", channels)
    check_sizes("model.hidden", [hidden])
    check_image("model=cnn", input_shape, least_side=2 ** len(channels))
    maps, height, width = input_shape
    require(kernel_size >= 1 and kernel_size % 2 == 1, "model.kernel_size", kernel_size, "odd numbers from 1")
    layers: list[nn.Module] = []
    for count in channels:
        convolution = nn.Conv2d(maps, count, kernel_size, padding=kernel_size // 2, bias=norm != "batch")
        # pooling in front of the activation: the same values for a rising activation, a quarter of the work
        layers += [convolution, *image_norm(norm, count), nn.MaxPool2d(2), activation_of(activation)]
        maps, height, width = count, height // 2, width // 2
    layers += [nn.Flatten(), *dropout_of(dropout), nn.Linear(maps * height * width, hidden, bias=norm != "batch")]
    layers += [*vector_norm(norm, hidden), activation_of(activation), *dropout_of(dropout)]
    return laid_out(nn.Sequential(*layers, nn.Linear(hidden, num_outputs)), channels_last)
