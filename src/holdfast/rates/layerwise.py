"""A rate for each layer."""

from __future__ import annotations

from torch import nn

from holdfast.core.errors import require


def layerwise(model: nn.Module, *, layer_decay: float = 0.75) -> dict[str, float]:
    """layer_decay ** (number of layers above) (Howard and Ruder 2018, "Discriminative fine-tuning").

    A layer is a parameter of two or more dimensions with the biases and norms that follow it, in the order of
    `model.named_parameters()`. Theirs is layer_decay=0.385.

    Raises:
        InputError: `layer_decay` is not in (0, 1].
    """
    require(0.0 < layer_decay <= 1.0, "rates.layer_decay", layer_decay, "0 < layer_decay <= 1")
    depths, depth = {}, 0
    for name, parameter in model.named_parameters():
        depth += parameter.ndim >= 2
        depths[name] = max(depth, 1)
    return {name: layer_decay ** (max(depth, 1) - own) for name, own in depths.items()}
