"""Drawings as inline SVG: curves, histograms, bars, points, intervals; colours come from the style of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from holdfast.core.figures import digits, number

WIDTH = 720
LARGE, SMALL, SQUARE = (WIDTH, 250), (350, 190), (474, 442)  # the last one is square within its axes
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 28
FEW_POINTS = 40
NAMES_WIDTH, ROW_HEIGHT, LETTER_WIDTH = 170, 34, 7.2  # of a chart of intervals
Points = Sequence[tuple[float, float]]
Range = tuple[float, float]
Ticks = Sequence[tuple[float, str]]
Place = Callable[[float, float], tuple[float, float]]


def lines(
    series: Sequence[tuple[str, Points]],
    *,
    label: str,
    is_log: bool = False,
    mark: float | None = None,
    x_ticks: Ticks | None = None,
) -> str:
    """Curves over epochs, at most four, named on top, with a vertical line at the epoch `mark`, the best one.

    Points (epoch, value) that are not finite, or not positive where `is_log`, are left out. `label` says in words what
    is drawn, for readers who cannot see it; `x_ticks` are the marks of an axis that has no epochs.
    """
    drawn = []
    for name, all_points in series:
        points = [(x, y) for x, y in all_points if y is not None and math.isfinite(y) and (y > 0 or not is_log)]
        drawn += [(name, points)] if points else []
    if not drawn:
        return ""
    epochs = [x for _, points in drawn for x, _ in points]
    values = [y for _, points in drawn for _, y in points]
    x_range = (min(epochs), max(epochs)) if max(epochs) > min(epochs) else (min(epochs) - 1, max(epochs) + 1)
    y_axis = _log_axis(values) if is_log else _axis(values)
    place, parts = _frame((x_range, x_ticks or _epoch_ticks(*x_range)), y_axis, SMALL)
    if mark is not None:
        x = place(mark, 0.0)[0]
        parts.append(line("mark", x, TOP, x, SMALL[1] - BOTTOM))
    for index, (_, points) in enumerate(drawn):
        placed = [place(x, math.log10(y) if is_log else y) for x, y in points]
        if len(placed) > 1:
            parts.append(polyline(f"line s{index}", placed))
        if len(placed) <= FEW_POINTS:
            parts += [circle(f"fill s{index}", x, y, 2.4) for x, y in placed]
    return drawing(parts, label, (0, 0, *SMALL)) + legend([name for name, _ in drawn])


def rate_range(points: Points, marks: Mapping[str, float], *, label: str) -> str:
    """The loss by a rising learning rate, on a logarithmic axis, with dashed lines at the named rates `marks`."""
    if len(points) < 2:
        return ""
    place, parts = _frame(_log_axis([rate for rate, _ in points]), _axis([loss for _, loss in points]), LARGE)
    bottom = LARGE[1] - BOTTOM
    for index, (name, rate) in enumerate(sorted(marks.items(), key=lambda mark: mark[1])):
        x = place(math.log10(rate), 0.0)[0]
        parts.append(line("mark", x, TOP, x, bottom))
        parts.append(text("tick", x - 5, bottom - 38 + 15 * index, f"{name} {rate:.2g}", "end"))
    parts.append(polyline("line s0", [place(math.log10(rate), loss) for rate, loss in points]))
    return drawing(parts, label, (0, 0, *LARGE))


def legend(names: Sequence[str]) -> str:
    """Names beside the colours of their curves."""
    spans = [f'<span class="s{index}">{escape(name)}</span>' for index, name in enumerate(names)]
    return f'<p class="legend">{"".join(spans)}</p>'


def histogram(facts: Mapping[str, Any] | None, *, label: str, is_small: bool = False) -> str:
    """Counts between `low` and `high` as bars; small ones fit into a table's cell."""
    if not facts:
        return ""
    counts = facts["counts"]
    width, height, foot = (132, 30, 0) if is_small else (WIDTH, 170, 24)
    step, most = width / len(counts), max([1, *counts])
    css = "spark" if is_small else "hist"
    parts = []
    for index, count in enumerate(counts):
        tall = (height - foot - 2) * count / most
        if count:
            tall = max(tall, 1.0)
        box = f'x="{index * step + 0.5:.1f}" y="{height - foot - tall:.1f}" width="{max(step - 1, 1):.1f}"'
        parts.append(f'<rect class="fill" {box} height="{tall:.1f}"><title>{count:,}</title></rect>')
    if not is_small:
        parts.append(text("tick", 2, height - 6, digits(facts["low"])))
        parts.append(text("tick", width - 2, height - 6, digits(facts["high"]), "end"))
    return drawing(parts, label, (0, 0, width, height), f'class="{css}"')


def class_bars(classes: Sequence[Mapping[str, Any]], *, limit: int = 40) -> str:
    """Two bars a class, for its share of the train rows and of the val rows; the counts are written beside them."""
    shown = classes[:limit]
    totals = {part: max(1, sum(entry[part] for entry in classes)) for part in ("train", "val")}
    most = max(entry[part] / totals[part] for entry in shown for part in totals) or 1.0
    left, right, row = 160, 150, 30
    parts = []
    for index, entry in enumerate(shown):
        y = 3 + row * index
        parts.append(text("name", left - 14, y + row / 2 + 4, short(entry["name"], 20), "end"))
        for place, part in enumerate(totals):
            wide = (WIDTH - left - right) * entry[part] / totals[part] / most
            top = y + 4 + place * 11
            parts.append(
                f'<rect class="fill s{place}" x="{left}" y="{top}" width="{max(wide, 1):.1f}" height="9" rx="2"/>'
            )
        counts = f"{entry['train']:,} / {entry['val']:,}  ({100 * entry['train'] / totals['train']:.1f} %)"
        parts.append(text("told", WIDTH - right + 12, y + row / 2 + 4, counts))
    more = f"<p class='note'>{len(classes) - limit:,} more classes.</p>" if len(classes) > limit else ""
    drawn = drawing(parts, "rows of each class, train and val", (0, 0, WIDTH, row * len(shown) + 6))
    return drawn + legend(["train", "val"]) + more


def scatter(points: Points, *, label: str, names: tuple[str, str]) -> str:
    """Points with a diagonal: values and what was predicted for them."""
    low, high = (f(v for point in points for v in point) for f in (min, max))
    axis = _axis([low, high])
    place, parts = _frame(axis, axis, SQUARE)
    parts.append(line("mark", *place(axis[0][0], axis[0][0]), *place(axis[0][1], axis[0][1])))
    parts += [circle("point", *place(*point), 2.6) for point in points]
    width, height = SQUARE
    parts.append(text("tick", (LEFT + width - RIGHT) / 2, height + 10, names[0], "middle"))
    turned = f'transform="translate(-14 {(TOP + height - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle"'
    parts.append(f'<text class="tick" {turned}>{escape(names[1])}</text>')
    attributes = f'class="scatter" style="max-width:{width}px"'
    return drawing(parts, label, (-24, 0, width + 24, height + 16), attributes)


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
    right = 20 + LETTER_WIDTH * max(len(words) for words in figures)
    height = ROW_HEIGHT * len(shown) + 34

    def place(value: float) -> float:
        return NAMES_WIDTH + (value - low) / (high - low) * (WIDTH - NAMES_WIDTH - right)

    parts = []
    for tick in ticks(low, high):
        words = f"{100 * tick:.4g} %" if is_share else digits(tick)
        parts.append(line("grid", place(tick), 4, place(tick), height - 26))
        parts.append(text("tick", place(tick), height - 8, words, "middle"))
    for index, (name, entry) in enumerate(shown):
        y = 4 + ROW_HEIGHT * (index + 0.5)
        a, b = place(entry["low"]), place(entry["high"])
        parts.append(text("name", NAMES_WIDTH - 16, y + 4, name, "end"))
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


def _range(lows: Sequence[float], highs: Sequence[float], *, is_share: bool) -> Range:
    low, high = min(lows), max(highs)
    space = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return (max(0.0, low - space), min(1.0, high + space)) if is_share else (low - space, high + space)


def _labelled(places: Sequence[float]) -> Ticks:
    """The places of an axis with their numbers, to four digits or to as many as tell them apart; six have room."""
    for count in (4, 5, 6):
        labels = [digits(place, count) if abs(place) < 1e6 else f"{place:.{count}g}" for place in places]
        if len(set(labels)) == len(labels):
            break
    return list(zip(places, labels, strict=True))


def _axis(values: Sequence[float]) -> tuple[Range, Ticks]:
    low, high = min(values), max(values)
    space = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    low, high = low - space, high + space
    return (low, high), _labelled(ticks(low, high))


def _log_axis(values: Sequence[float]) -> tuple[Range, Ticks]:
    low, high = math.log10(min(values)), math.log10(max(values))
    space = 0.06 * (high - low) or 0.2
    low, high = low - space, high + space
    marks = [
        (math.log10(factor) + power, f"{factor * 10.0**power:.3g}")
        for power in range(math.floor(low), math.ceil(high) + 1)
        for factor in ((1, 2, 5) if high - low < 2.5 else (1,))
    ]
    return (low, high), [mark for mark in marks if low <= mark[0] <= high]


def _frame(x_axis: tuple[Range, Ticks], y_axis: tuple[Range, Ticks], size: tuple[int, int]) -> tuple[Place, list[str]]:
    """The place of a point within two axes, and the drawn axes."""
    (x_range, x_ticks), (y_range, y_ticks), (width, height) = x_axis, y_axis, size

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (y - y_range[0]) / (y_range[1] - y_range[0])
        return LEFT + across * (width - LEFT - RIGHT), height - BOTTOM - up * (height - TOP - BOTTOM)

    parts = []
    for tick, label in y_ticks:
        y = place(x_range[0], tick)[1]
        parts.append(line("grid", LEFT, y, width - RIGHT, y))
        parts.append(text("tick", LEFT - 8, y + 4, label, "end"))
    parts += [text("tick", place(tick, y_range[0])[0], height - 8, label, "middle") for tick, label in x_ticks]
    return place, parts


def _epoch_ticks(low: float, high: float) -> Ticks:
    epochs = sorted({round(tick) for tick in ticks(low, high) if low <= round(tick) <= high})
    return [(epoch, f"{epoch:g}") for epoch in epochs]


def drawing(parts: Sequence[str], label: str, box: tuple[float, float, float, float], attributes: str = "") -> str:
    """A whole drawing: its elements, what a reader who does not see it is told, and its left, top, width and height."""
    view = " ".join(f"{number:g}" for number in box)
    return f'<svg {attributes} viewBox="{view}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def line(css: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """A straight line."""
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def polyline(css: str, points: Points) -> str:
    """Straight lines from point to point."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{css}" points="{path}"/>'


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
