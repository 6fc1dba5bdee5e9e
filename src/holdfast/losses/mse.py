"""The mean squared error."""

from __future__ import annotations

from torch.nn import functional

from holdfast.losses.protocol import Loss, of_values


def mse() -> Loss:
    """Mean of (output - target) ** 2, in units of the standardised target."""
    return of_values(functional.mse_loss)
