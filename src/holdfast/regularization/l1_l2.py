"""The elastic net."""

from __future__ import annotations

import math

from torch import Tensor, nn

from holdfast.core.errors import require
from holdfast.regularization.l1 import l1
from holdfast.regularization.l2 import l2


def l1_l2(model: nn.Module, *, l1_strength: float = 1e-4, l2_strength: float = 1e-3) -> Tensor:
    """Elastic net (Zou and Hastie 2005): the sum of both terms.

    Raises:
        InputError: A strength is negative.
    """
    require(0.0 <= l1_strength < math.inf, "regularization.l1_strength", l1_strength, "l1_strength >= 0")
    require(0.0 <= l2_strength < math.inf, "regularization.l2_strength", l2_strength, "l2_strength >= 0")
    return l1(model, strength=l1_strength) + l2(model, strength=l2_strength)
