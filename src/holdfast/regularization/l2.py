"""The sum of squared weights."""

from __future__ import annotations

import math

from torch import Tensor, nn

from holdfast.core.errors import require
from holdfast.regularization.weights import sum_over_weights


def l2(model: nn.Module, *, strength: float = 1e-3) -> Tensor:
    """strength / 2 * sum w^2 (CS231n): its gradient is strength * w, as that of `optimizer.weight_decay` in SGD.

    Raises:
        InputError: `strength` is negative.
    """
    require(0.0 <= strength < math.inf, "regularization.strength", strength, "strength >= 0")
    return 0.5 * strength * sum_over_weights(model, lambda weight: weight.square().sum())
