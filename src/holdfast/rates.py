"""The rate of each part of a network as a share of the optimizer's; a schedule scales all of them alike.

Every option is called `rates(model)` and gives the share of each parameter by name; those it leaves out have 1.
"""

from __future__ import annotations

from typing import Protocol

from torch import nn

from holdfast.core.errors import require
from holdfast.models.head import body_parameters

__all__ = ["body_and_head", "layerwise", "uniform"]


class Rates(Protocol):
    """A rates option."""

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Name of a parameter -> share of the rate."""
        ...


def uniform(model: nn.Module) -> dict[str, float]:
    """The same rate everywhere."""
    return {}


def body_and_head(model: nn.Module, *, body_lr_factor: float = 0.1) -> dict[str, float]:
    """A share of the rate for all layers but the one that gives the logits, as for a pretrained body."""
    require(0.0 < body_lr_factor <= 1.0, "rates.body_lr_factor", body_lr_factor, "0 < body_lr_factor <= 1")
    return dict.fromkeys(body_parameters(model), body_lr_factor)


def layerwise(model: nn.Module, *, layer_decay: float = 0.75) -> dict[str, float]:
    """layer_decay ** (number of layers above) (Howard and Ruder 2018, "Discriminative fine-tuning").

    A layer is a parameter of two or more dimensions with the biases and norms that follow it, in the order of
    `model.named_parameters()`. Theirs is layer_decay=0.385.
    """
    require(0.0 < layer_decay <= 1.0, "rates.layer_decay", layer_decay, "0 < layer_decay <= 1")
    depths, depth = {}, 0
    for name, parameter in model.named_parameters():
        depth += parameter.ndim >= 2
        depths[name] = max(depth, 1)
    return {name: layer_decay ** (max(depth, 1) - own) for name, own in depths.items()}
