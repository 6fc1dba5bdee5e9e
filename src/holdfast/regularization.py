"""Terms that are added to the training loss; the losses that are reported are those of the data alone.

Every option is called `regularization(model)` in each training step and gives one number. Weights are the parameters
that also decay: those with two or more dimensions, so that biases and norms are left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from holdfast.core.errors import require

__all__ = ["l1", "l1_l2", "l2"]


def l1(model: nn.Module, *, strength: float = 1e-4) -> Tensor:
    """strength * sum |w|: weights become sparse."""
    _require_strength("strength", strength)
    return strength * _sum([weight.abs().sum() for weight in _weights(model)])


def l2(model: nn.Module, *, strength: float = 1e-3) -> Tensor:
    """strength / 2 * sum w^2 (CS231n): its gradient is strength * w, as that of `optimizer.weight_decay` in SGD."""
    _require_strength("strength", strength)
    return 0.5 * strength * _sum([weight.square().sum() for weight in _weights(model)])


def l1_l2(model: nn.Module, *, l1_strength: float = 1e-4, l2_strength: float = 1e-3) -> Tensor:
    """Elastic net (Zou and Hastie 2005): the sum of both terms."""
    _require_strength("l1_strength", l1_strength)
    _require_strength("l2_strength", l2_strength)
    return l1(model, strength=l1_strength) + l2(model, strength=l2_strength)


def _weights(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim >= 2]


def _sum(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum() if terms else torch.zeros(())


def _require_strength(name: str, value: float) -> None:
    require(0.0 <= value < math.inf, f"regularization.{name}", value, f"{name} >= 0")
