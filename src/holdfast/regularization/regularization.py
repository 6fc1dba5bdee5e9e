"""Terms that are added to the training loss; the losses that are reported are those of the data alone.

Every option is called `regularization(model)` in each training step. Weights are the parameters that also decay:
those with two or more dimensions, so that biases and norms are left out.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from holdfast.core.errors import InputError


class Regularization(Protocol):
    """A regularisation option."""

    def __call__(self, model: nn.Module) -> Tensor:
        """The term, one number."""
        ...


def l1(model: nn.Module, *, strength: float = 1e-4) -> Tensor:
    """strength * sum |w|: weights become sparse.

    Raises:
        InputError: `strength` is negative.
    """
    _check("strength", strength)
    return strength * _total([weight.abs().sum() for weight in weights(model)])


def l2(model: nn.Module, *, strength: float = 1e-3) -> Tensor:
    """strength / 2 * sum w^2 (CS231n): its gradient is strength * w, as that of `optimizer.weight_decay` in SGD.

    Raises:
        InputError: `strength` is negative.
    """
    _check("strength", strength)
    return 0.5 * strength * _total([weight.square().sum() for weight in weights(model)])


def l1_l2(model: nn.Module, *, l1_strength: float = 1e-4, l2_strength: float = 1e-3) -> Tensor:
    """Elastic net (Zou and Hastie 2005): the sum of both terms.

    Raises:
        InputError: A strength is negative.
    """
    _check("l1_strength", l1_strength)
    _check("l2_strength", l2_strength)
    return l1(model, strength=l1_strength) + l2(model, strength=l2_strength)


def weights(model: nn.Module) -> list[Tensor]:
    """What is regularised: trained parameters with at least two dimensions."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim >= 2]


def _total(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum() if terms else torch.zeros(())


def _check(name: str, value: float) -> None:
    if not 0.0 <= value < math.inf:
        raise InputError(f"regularization.{name}", f"is {value}", allowed=f"{name} >= 0")
