"""The squared error of rows that are given back."""

from __future__ import annotations

from torch.nn import functional

from holdfast.losses.protocol import Loss, of_values


def reconstruction() -> Loss:
    """Mean of (reconstruction - row) ** 2 over all numbers of the standardised rows."""
    return of_values(functional.mse_loss)
