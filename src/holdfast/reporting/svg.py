"""The elements of drawings as inline SVG; colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH = 720


def drawing(parts: Sequence[str], label: str, box: tuple[float, float, float, float], attributes: str = "") -> str:
    """A whole drawing: its elements, what a reader who does not see it is told, and its left, top, width and height."""
    view = " ".join(f"{number:g}" for number in box)
    return f'<svg {attributes} viewBox="{view}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def line(css: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """A straight line."""
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def circle(css: str, x: float, y: float, radius: float) -> str:
    """A filled circle."""
    return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def text(css: str, x: float, y: float, words: str, anchor: str = "start") -> str:
    """Words that start, end or have their middle at a place."""
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def short(name: str, limit: int) -> str:
    """A name, cut off where it is longer."""
    return name if len(name) <= limit else name[: limit - 1] + "…"


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers."""
    raw = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]
