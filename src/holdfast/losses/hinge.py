"""The multiclass hinge."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor
from torch.nn import functional

from holdfast.core.errors import require
from holdfast.losses.protocol import ClassWeights, Loss, as_tensor, check_task


def hinge(
    *, task: str = "multiclass", class_weights: ClassWeights = None, margin: float = 1.0, power: Literal[1, 2] = 1
) -> Loss:
    """Sum over the classes j other than y of max(0, margin + z_j - z_y) ** power (Weston and Watkins 1999; CS231n).

    With equal outputs it is C - 1 times the margin. torch's multi_margin_loss divides by the number of classes C.

    Raises:
        InputError: The task is not multiclass, or `margin` is not positive.
    """
    check_task("hinge", task, ("multiclass",))
    require(0.0 < margin < math.inf, "loss.margin", margin, "margin > 0")
    given = as_tensor(class_weights)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = None if given is None else given.to(outputs)
        return outputs.shape[1] * functional.multi_margin_loss(outputs, targets, p=power, margin=margin, weight=weight)

    return loss
