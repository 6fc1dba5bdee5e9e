"""The protocol of rates."""

from __future__ import annotations

from typing import Protocol

from torch import nn


class Rates(Protocol):
    """A rates option."""

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Name of a parameter -> share of the rate."""
        ...
