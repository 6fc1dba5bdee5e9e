"""The mean absolute error."""

from __future__ import annotations

from torch.nn import functional

from holdfast.losses.protocol import Loss, of_values


def mae() -> Loss:
    """Mean of |output - target|, in units of the standardised target."""
    return of_values(functional.l1_loss)
