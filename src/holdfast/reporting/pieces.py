"""The pieces of a page: boxes, tables, lists and values, as HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from holdfast.core.figures import digits
from holdfast.training.names import SHARES


def section(title: str, body: str) -> str:
    """A titled box."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def figure(svg: str) -> str:
    """A drawing, or nothing."""
    return f"<figure>{svg}</figure>" if svg else ""


def table(names: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Sequence[int] = ()) -> str:
    """Cells are HTML already."""

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="n"' if index in numeric else "" for index in range(len(cells))]
        told = [f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)]
        return f"<tr>{''.join(told)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<div class='scroll'><table><thead>{line(names, 'th')}</thead><tbody>{body}</tbody></table></div>"


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and what there is to say of each."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in pairs) + "</dl>"


def metric_value(metric: str, value: float | None, *, signed: bool = False) -> str:
    """A metric as it is written: shares in per cent."""
    if value is None:
        return "–" if signed else "undefined"
    if metric in SHARES:
        return f"{100 * value:{'+' if signed else ''}.2f} %"
    return digits(value, sign="+" if signed else "")


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
    return escape(f"{text[:10]} {text[11:16]} UTC")
