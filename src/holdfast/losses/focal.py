"""The focal loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.core.errors import require
from holdfast.losses.protocol import ClassWeights, Loss, as_tensor, check_task


def focal(*, task: str = "multiclass", class_weights: ClassWeights = None, gamma: float = 2.0) -> Loss:
    """-w (1 - p)^gamma log p of the target's probability p (Lin et al. 2017, equation 5; w is their alpha).

    By softmax for classes, by the logistic function of each logit for binary and multilabel.

    Raises:
        InputError: The task is a regression, or `gamma` is negative.
    """
    check_task("focal", task, ("multiclass", "binary", "multilabel"))
    require(0.0 <= gamma < math.inf, "loss.gamma", gamma, "gamma >= 0")
    given = as_tensor(class_weights)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        if task == "multiclass":
            entropy = functional.cross_entropy(outputs, targets, reduction="none")
        else:
            entropy = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        # 1 - p from the entropy -log p, exact where p is close to 1; above 0, where a power below 1 has a slope
        miss = (-torch.expm1(-entropy)).clamp(min=torch.finfo(entropy.dtype).tiny)
        values = miss**gamma * entropy
        weight = 1.0 if given is None else given.to(outputs)[targets.long()]
        return (weight * values).mean()

    return loss
