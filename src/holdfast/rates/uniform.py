"""One rate."""

from __future__ import annotations

from torch import nn


def uniform(model: nn.Module) -> dict[str, float]:
    """The same rate everywhere."""
    return {}
