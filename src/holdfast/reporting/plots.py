"""The charts of the final report: metrics with their intervals, and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.core.figures import digits
from holdfast.reporting.formatting import number
from holdfast.reporting.svg import WIDTH, circle, drawing, line, short, text, ticks

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

    parts = []
    for tick in ticks(low, high):
        words = f"{100 * tick:.4g} %" if is_share else digits(tick)
        parts.append(line("grid", place(tick), 4, place(tick), height - 26))
        parts.append(text("tick", place(tick), height - 8, words, "middle"))
    for index, (name, entry) in enumerate(shown):
        y = 4 + ROW * (index + 0.5)
        a, b = place(entry["low"]), place(entry["high"])
        parts.append(text("name", LEFT - 16, y + 4, name, "end"))
        parts.append(line("bar", a, y, max(b, a + 1), y))
        parts.append(circle("dot", place(entry["value"]), y, 5))
        parts.append(text("told", WIDTH - right + 12, y + 4, figures[index]))
    return drawing(parts, label, (0, 0, WIDTH, height))


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """True classes downwards, guesses to the right; shaded by the share of the true class."""
    num = len(matrix)
    cell = max(14, min(46, 520 // max(num, 1)))
    shown = [short(names[i] if i < len(names) else str(i), 12) for i in range(num)]
    left, top = 12 + 7 * max([4, *map(len, shown)]), 46
    width, height = left + cell * num + 8, top + cell * num + 8
    parts = [text("tick", left + cell * num / 2, 14, "guessed", "middle")]
    for i, row in enumerate(matrix):
        y, total = top + cell * i, max(1, sum(row))
        middle = y + cell / 2 + 4
        parts.append(text("tick", left - 8, middle, shown[i], "end"))
        parts.append(text("tick", left + cell * (i + 0.5), top - 8, shown[i], "middle"))
        for j, count in enumerate(row):
            kind = "right" if i == j else "wrong"
            share = count / total if i == j else min(1.0, 4 * count / total)
            x = left + cell * j
            parts.append(
                f'<rect class="{kind}" x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}" rx="3" '
                f'style="fill-opacity:{0.06 + 0.84 * share:.2f}"><title>{count} of {total}</title></rect>'
            )
            if count and cell >= 24:
                tone = "count strong" if share > 0.55 else "count"
                parts.append(text(tone, x + cell / 2 - 1, middle, str(count), "middle"))
    label = "confusion matrix: true class by row, guessed class by column"
    return drawing(parts, label, (0, 0, width, height), f'class="confusion" style="max-width:{width}px"')


def _range(lows: Sequence[float], highs: Sequence[float], *, is_share: bool) -> tuple[float, float]:
    low, high = min(lows), max(highs)
    space = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return (max(0.0, low - space), min(1.0, high + space)) if is_share else (low - space, high + space)
