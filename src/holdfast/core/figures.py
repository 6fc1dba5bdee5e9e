"""Numbers, times and names as a person reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


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


def number(value: float | None, is_share: bool = False) -> str:
    """A number in a table or a chart: shares in per cent, others to four digits."""
    if value is None:
        return "undefined"
    return f"{100 * value:.2f}" if is_share else digits(value)


def plain(value: Any) -> str:
    """A value of the manifest in words."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{spoken(str(key))} {plain(item)}" for key, item in value.items())
    return value if isinstance(value, str) else json.dumps(value)


def spoken(name: str) -> str:
    """A key in words."""
    return name.replace("_", " ")


def moment(text: str) -> str:
    """A time, to the minute."""
    return f"{text[:10]} {text[11:16]} UTC"
