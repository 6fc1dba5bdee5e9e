"""The sum of absolute weights."""

from __future__ import annotations

import math

from torch import Tensor, nn

from holdfast.core.errors import require
from holdfast.regularization.weights import sum_over_weights


def l1(model: nn.Module, *, strength: float = 1e-4) -> Tensor:
    """strength * sum |w|: weights become sparse.

    Raises:
        InputError: `strength` is negative.
    """
    require(0.0 <= strength < math.inf, "regularization.strength", strength, "strength >= 0")
    return strength * sum_over_weights(model, lambda weight: weight.abs().sum())
