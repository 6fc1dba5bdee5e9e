"""Charts as inline SVG: curves over epochs, histograms, bars, points; colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from holdfast.core.figures import digits
from holdfast.reporting.svg import WIDTH, circle, drawing, line, short, text, ticks

LARGE, SMALL = (WIDTH, 250), (350, 190)
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 28
FEW_POINTS = 40
Points = Sequence[tuple[float, float]]


def lines(
    series: Sequence[tuple[str, Points]],
    *,
    label: str,
    is_log: bool = False,
    mark: float | None = None,
    size: tuple[int, int] = LARGE,
) -> str:
    """Curves over epochs, at most four, named on top.

    Args:
        series: Names and their points (epoch, value); values that are not finite, or not positive where `is_log`, are
            left out.
        label: What a reader who does not see it is told.
        is_log: Whether the values are on a logarithmic axis.
        mark: An epoch that gets a vertical line: the best one.
        size: Width and height.
    """
    drawn = [(name, _drawable(points, is_log)) for name, points in series]
    drawn = [(name, points) for name, points in drawn if points]
    if not drawn:
        return ""
    epochs = [x for _, points in drawn for x, _ in points]
    values = [y for _, points in drawn for _, y in points]
    x_range = (min(epochs), max(epochs)) if max(epochs) > min(epochs) else (min(epochs) - 1, max(epochs) + 1)
    y_range, y_ticks = _log_axis(values) if is_log else _axis(values)
    place, height = _placer(x_range, y_range, size), size[1]
    parts = _grid(y_ticks, place, x_range)
    for tick in _epoch_ticks(*x_range):
        parts.append(text("tick", place(tick, y_range[0])[0], height - 8, f"{tick:g}", "middle"))
    if mark is not None:
        x = place(mark, y_range[0])[0]
        parts.append(line("mark", x, TOP, x, height - BOTTOM))
    for index, (_, points) in enumerate(drawn):
        placed = [place(x, math.log10(y) if is_log else y) for x, y in points]
        if len(placed) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            parts.append(f'<polyline class="line s{index}" points="{path}"/>')
        if len(placed) <= FEW_POINTS:
            parts += [circle(f"fill s{index}", x, y, 2.4) for x, y in placed]
    return drawing(parts, label, (0, 0, *size)) + legend([name for name, _ in drawn])


def rate_range(points: Points, marks: Mapping[str, float], *, label: str) -> str:
    """The loss by a rising learning rate, on a logarithmic axis, with dashed lines at the named rates `marks`."""
    if len(points) < 2:
        return ""
    x_range, x_ticks = _log_axis([rate for rate, _ in points])
    y_range, y_ticks = _axis([loss for _, loss in points])
    place, height = _placer(x_range, y_range, LARGE), LARGE[1]
    parts = _grid(y_ticks, place, x_range)
    parts += [text("tick", place(tick, y_range[0])[0], height - 8, name, "middle") for tick, name in x_ticks]
    for number, (name, rate) in enumerate(sorted(marks.items(), key=lambda mark: mark[1])):
        x = place(math.log10(rate), y_range[0])[0]
        parts.append(line("mark", x, TOP, x, height - BOTTOM))
        parts.append(text("tick", x - 5, height - BOTTOM - 38 + 15 * number, f"{name} {rate:.2g}", "end"))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(math.log10(rate), loss) for rate, loss in points))
    return drawing([*parts, f'<polyline class="line s0" points="{path}"/>'], label, (0, 0, *LARGE))


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
    space = 0.04 * (high - low) or 1.0
    limits = (low - space, high + space)
    size, foot = 420, 44
    parts = []

    def place(x: float, y: float) -> tuple[float, float]:
        span = limits[1] - limits[0]
        return foot + (x - limits[0]) / span * size, size - (y - limits[0]) / span * size

    for tick in ticks(*limits):
        x, y = place(tick, tick)
        parts += [line("grid", foot, y, size + foot, y), line("grid", x, 0, x, size)]
        parts.append(text("tick", foot - 5, y + 4, _tick(tick), "end"))
        parts.append(text("tick", x, size + 15, _tick(tick), "middle"))
    parts.append(line("mark", *place(limits[0], limits[0]), *place(limits[1], limits[1])))
    parts += [circle("point", *place(*point), 2.6) for point in points]
    parts.append(text("tick", foot + size / 2, size + 36, names[0], "middle"))
    turned = f'transform="translate(-14 {size / 2:.0f}) rotate(-90)" text-anchor="middle"'
    parts.append(f'<text class="tick" {turned}>{escape(names[1])}</text>')
    attributes = f'class="scatter" style="max-width:{size}px"'
    return drawing(parts, label, (-24, 0, size + foot + 24, size + foot), attributes)


def _tick(value: float) -> str:
    """A number beside an axis: six digits have room there."""
    return digits(value) if abs(value) < 1e6 else f"{value:.4g}"


def _drawable(points: Points, is_log: bool) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if y is not None and math.isfinite(y) and (y > 0 or not is_log)]


def _axis(values: Sequence[float]) -> tuple[tuple[float, float], list[tuple[float, str]]]:
    low, high = min(values), max(values)
    space = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    low, high = low - space, high + space
    return (low, high), [(tick, _tick(tick)) for tick in ticks(low, high)]


def _log_axis(values: Sequence[float]) -> tuple[tuple[float, float], list[tuple[float, str]]]:
    low, high = math.log10(min(values)), math.log10(max(values))
    space = 0.06 * (high - low) or 0.2
    low, high = low - space, high + space
    marks = [
        (math.log10(factor) + power, f"{factor * 10.0**power:.3g}")
        for power in range(math.floor(low), math.ceil(high) + 1)
        for factor in ((1, 2, 5) if high - low < 2.5 else (1,))
    ]
    return (low, high), [mark for mark in marks if low <= mark[0] <= high]


def _placer(x_range: tuple[float, float], y_range: tuple[float, float], size: tuple[int, int]) -> Any:
    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_range[0]) / (x_range[1] - x_range[0])
        up = (y - y_range[0]) / (y_range[1] - y_range[0])
        return LEFT + across * (size[0] - LEFT - RIGHT), size[1] - BOTTOM - up * (size[1] - TOP - BOTTOM)

    return place


def _grid(y_ticks: Sequence[tuple[float, str]], place: Any, x_range: tuple[float, float]) -> list[str]:
    parts = []
    for tick, label in y_ticks:
        (left, y), (right, _) = place(x_range[0], tick), place(x_range[1], tick)
        parts.append(line("grid", left, y, right, y))
        parts.append(text("tick", LEFT - 8, y + 4, label, "end"))
    return parts


def _epoch_ticks(low: float, high: float) -> list[float]:
    return sorted({round(tick) for tick in ticks(low, high) if low <= round(tick) <= high})
