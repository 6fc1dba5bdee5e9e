"""Values of metrics as they are written wherever a person reads them."""

from __future__ import annotations


def figure(value: float) -> str:
    """A metric with the digits that count: 0.0871, 15,864.5, 3.20e-06."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.1f}"
    return f"{value:.2e}" if 0 < size < 5e-5 else f"{value:.4f}"


def digits(value: float, count: int = 4, sign: str = "") -> str:
    """A number to `count` digits, and whole above them: 1.25e-06, 0.5012, 412789; with `sign` "+" also +0.5012."""
    is_whole = 10**count - 0.5 <= abs(value) < 1e15
    return f"{value:{sign}.0f}" if is_whole else f"{value:{sign}.{count}g}"
