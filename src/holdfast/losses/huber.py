"""Huber's loss."""

from __future__ import annotations

import math
from functools import partial

from torch.nn import functional

from holdfast.core.errors import require
from holdfast.losses.protocol import Loss, of_values


def huber(*, delta: float = 1.0) -> Loss:
    """Mean of e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2) (Huber 1964), e of the standardised target.

    Raises:
        InputError: `delta` is not positive.
    """
    require(0.0 < delta < math.inf, "loss.delta", delta, "delta > 0")
    return of_values(partial(functional.huber_loss, delta=delta))
