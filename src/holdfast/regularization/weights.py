"""The protocol of regularisations, and the weights that they go over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn


class Regularization(Protocol):
    """A regularisation option."""

    def __call__(self, model: nn.Module) -> Tensor:
        """The term, one number."""
        ...


def sum_over_weights(model: nn.Module, term: Callable[[Tensor], Tensor]) -> Tensor:
    """Sum a term of each weight: of trained parameters with at least two dimensions; 0 where a model has none."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim >= 2]
    return torch.stack([term(weight) for weight in weights]).sum() if weights else torch.zeros(())
