"""Parameter groups: which parameters decay, and at which share of the rate each learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from holdfast.core.errors import InputError


def param_groups(
    model: nn.Module, *, weight_decay: float, lr: float | None = None, factors: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Split the trained parameters of `model` by whether they decay and by their share of the rate.

    A parameter decays when it has at least two dimensions: matrices, kernels and embeddings do; biases and the
    gains of norms do not (as in Goyal et al. 2017, section 5.3). There are no more groups than differences, since
    every group costs an optimizer time; the group with the highest rate comes first.

    Args:
        model: The module; parameters that need no gradient are left out.
        weight_decay: What the optimizer is going to apply to the groups that do not say otherwise.
        lr: The optimizer's rate; needed where there are factors.
        factors: Name of a parameter -> share of `lr`; 1 where it is not named.
    """
    members: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = ((factors or {}).get(name, 1.0), not weight_decay or parameter.ndim >= 2)
            members.setdefault(key, []).append(parameter)
    if lr is None and any(factor != 1.0 for factor, _ in members):
        problem = "are shares of optimizer.lr, which this optimizer does not name"
        raise InputError("rates", problem, next="rates=uniform")
    groups = []
    for (factor, decays), parameters in sorted(members.items(), key=lambda item: (-item[0][0], not item[0][1])):
        group: dict[str, Any] = {"params": parameters}
        if factor != 1.0 and lr is not None:
            group["lr"] = lr * factor
        if not decays:
            group["weight_decay"] = 0.0
        groups.append(group)
    return groups
