"""Small drawings as inline SVG; colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from holdfast.core.figures import digits

WIDTH = 720
LEFT = 170
LETTER = 7.2
ROW = 34


def intervals(rows: Sequence[tuple[str, Mapping[str, Any]]], *, is_share: bool, label: str) -> str:
    """One line a row: the interval as a bar, the value as a dot, both written beside it."""
    shown = [(name, entry) for name, entry in rows if entry["value"] is not None and entry["low"] is not None]
    if not shown:
        return ""
    low, high = _range([entry["low"] for _, entry in shown], [entry["high"] for _, entry in shown], is_share=is_share)
    figures = [
        f"{number(entry['value'], is_share)} [{number(entry['low'], is_share)}, {number(entry['high'], is_share)}]"
        for _, entry in shown
    ]
    right = 20 + LETTER * max(len(words) for words in figures)
    height = ROW * len(shown) + 34

    def place(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - right)

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">']
    for tick in ticks(low, high):
        x = place(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 26}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{height - 8}" text-anchor="middle">{_tick(tick, is_share)}</text>'
        )
    for index, (name, entry) in enumerate(shown):
        y = 4 + ROW * (index + 0.5)
        a, b, value = (place(entry[key]) for key in ("low", "high", "value"))
        parts.append(f'<text class="name" x="{LEFT - 16}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<line class="bar" x1="{a:.1f}" x2="{max(b, a + 1):.1f}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot" cx="{value:.1f}" cy="{y}" r="5"/>')
        parts.append(f'<text class="told" x="{WIDTH - right + 12:.1f}" y="{y + 4}">{figures[index]}</text>')
    return "".join([*parts, "</svg>"])


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """True classes downwards, guesses to the right; shaded by the share of the true class."""
    num = len(matrix)
    cell = max(14, min(46, 520 // max(num, 1)))
    left, top = 12 + 7 * max([4, *(len(_short(name)) for name in names)]), 46
    width, height = left + cell * num + 8, top + cell * num + 8
    parts = [f'<svg class="confusion" viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img" ']
    parts.append('aria-label="confusion matrix: true class by row, guessed class by column">')
    parts.append(f'<text class="tick" x="{left + cell * num / 2}" y="14" text-anchor="middle">guessed</text>')
    for i, row in enumerate(matrix):
        y, total = top + cell * i, max(1, sum(row))
        middle = y + cell / 2 + 4
        parts.append(f'<text class="tick" x="{left - 8}" y="{middle}" text-anchor="end">{_name(names, i)}</text>')
        x = left + cell * (i + 0.5)
        parts.append(f'<text class="tick" x="{x}" y="{top - 8}" text-anchor="middle">{_name(names, i)}</text>')
        for j, count in enumerate(row):
            kind = "right" if i == j else "wrong"
            share = count / total if i == j else min(1.0, 4 * count / total)
            x = left + cell * j
            parts.append(
                f'<rect class="{kind}" x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}" rx="3" '
                f'style="fill-opacity:{0.06 + 0.84 * share:.2f}"><title>{count} of {total}</title></rect>'
            )
            if count and cell >= 24:
                tone = " strong" if share > 0.55 else ""
                parts.append(
                    f'<text class="count{tone}" x="{x + cell / 2 - 1}" y="{middle}" text-anchor="middle">{count}</text>'
                )
    return "".join([*parts, "</svg>"])


def number(value: float | None, is_share: bool = False) -> str:
    """A number as the report writes it: shares in per cent, others to four digits."""
    if value is None:
        return "undefined"
    return f"{100 * value:.2f}" if is_share else digits(value)


def _name(names: Sequence[str], index: int) -> str:
    return escape(_short(names[index] if index < len(names) else str(index)))


def _short(name: str) -> str:
    return name if len(name) <= 12 else name[:11] + "…"


def _range(lows: Sequence[float], highs: Sequence[float], *, is_share: bool) -> tuple[float, float]:
    low, high = min(lows), max(highs)
    space = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return (max(0.0, low - space), min(1.0, high + space)) if is_share else (low - space, high + space)


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers."""
    raw = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick(value: float, is_share: bool) -> str:
    return f"{100 * value:.4g} %" if is_share else digits(value)
