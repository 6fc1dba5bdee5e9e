"""How the value of a metric is written wherever a person reads it."""

from __future__ import annotations


def figure(value: float) -> str:
    """A metric with the digits that count: 0.0871, 15,864.5, 3.20e-06."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.1f}"
    return f"{value:.2e}" if 0 < size < 5e-5 else f"{value:.4f}"
