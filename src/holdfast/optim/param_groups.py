"""Parameter groups: which parameters decay."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn


class OptimizerFactory(Protocol):
    """An optimizer option: it is handed the parameter groups."""

    def __call__(self, params: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Build the optimizer over `params`."""
        ...


def param_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trained parameters of `model` so that biases and norms do not decay.

    A parameter decays when it has at least two dimensions: matrices, kernels and embeddings do; biases and the
    gains of norms do not (as in Goyal et al. 2017, section 5.3). Without weight decay there is one group, since
    every group costs an optimizer time.

    Args:
        model: The module; parameters that need no gradient are left out.
        weight_decay: What the optimizer is going to apply to the first group.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not weight_decay:
        return [{"params": trained}]
    decayed = [parameter for parameter in trained if parameter.ndim >= 2]
    kept = [parameter for parameter in trained if parameter.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": kept, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
