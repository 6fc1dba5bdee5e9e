"""A data set on a page: what was found, classes, columns, examples, checks. The run's report has the same sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from holdfast import __version__
from holdfast.core.figures import digits
from holdfast.core.tasks import task_of
from holdfast.reporting import charts
from holdfast.reporting.dataset import missing_share
from holdfast.reporting.pictures import as_data_uri
from holdfast.reporting.pieces import definitions, figure, moment, section, table
from holdfast.reporting.style import STYLE

MAX_COLUMNS = 100
VERDICTS = {"good": ("good", "ok"), "look": ("wait", "look"), "bad": ("bad", "leak?")}
Facts = Mapping[str, Any]
Strips = Sequence[tuple[str, bytes]]


def whole_page(title: str, head: str, sections: Sequence[str], written: str) -> str:
    """A self-contained page.

    Args:
        title: Of the window.
        head: The header, as HTML.
        sections: As HTML.
        written: When, ISO 8601.
    """
    meta = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    foot = f"<footer>holdfast {escape(__version__)}, written {moment(written)}.</footer>"
    body = f"<main><header>{head}</header>{''.join(sections)}{foot}</main>"
    return f'<!doctype html>\n<html lang="en"><head>{meta}<style>{STYLE}</style></head><body>{body}</body></html>\n'


def data_page(facts: Facts, strips: Strips, written: str) -> str:
    """The page of `holdfast data inspect`."""
    rows = facts["rows"]
    chip = verdict_chip(worst(facts["checks"]))
    line = f"{rows['train'] + rows['val']:,} train and val rows were looked at; {test_words(rows['test'])}."
    head = f"<p class='eyebrow'>data set</p><h1>{escape(facts['name'])}</h1><p>{chip} {escape(line)}</p>"
    return whole_page(f"{facts['name']}: data", head, data_sections(facts, strips), written)


def data_sections(facts: Facts, strips: Strips) -> list[str]:
    """What there is to say of a data set; sections without content are left out."""
    return [
        one
        for one in (_found(facts), _checks(facts), _targets(facts), _examples(facts, strips), _columns(facts))
        if one
    ]


def worst(checks: Sequence[Facts]) -> str:
    """The gravest verdict."""
    verdicts = {check["verdict"] for check in checks}
    return next(verdict for verdict in ("bad", "look", "good") if verdict in verdicts or verdict == "good")


def verdict_chip(verdict: str) -> str:
    """A verdict as a coloured word."""
    css, word = VERDICTS[verdict]
    return f'<span class="chip {css}">{word}</span>'


def test_words(count: int) -> str:
    """What is known of the test rows."""
    return f"{count:,} test rows are sealed and were not" if count else "no test rows were set aside"


def row_words(facts: Facts) -> str:
    """How a row is stored."""
    shape = " x ".join(map(str, facts["row"]["shape"])) or "one number"
    kinds = {"image": f"image, {shape} (height, width, channels)", "array": f"array, {shape}"}
    if facts["kind"] != "table":
        return f"{kinds[facts['kind']]}, {facts['row']['dtype']}"
    types = [column["type"] for column in facts["columns"]]
    counted = [(types.count("number"), "number"), (types.count("category"), "category")]
    told = " and ".join(f"{count} {name} column{'s' * (count != 1)}" for count, name in counted if count)
    return f"table of {told}, {facts['row']['dtype']}"


def _found(facts: Facts) -> str:
    rows, classes = facts["rows"], facts["classes"]
    told = [("rows", row_words(facts)), ("task", facts["task"] + (f", {len(classes)} classes" if classes else ""))]
    if facts["target"]:
        told.append(("target", facts["target"]))
    told += [("train", f"{rows['train']:,} rows"), ("val", f"{rows['val']:,} rows")]
    told.append(("test", f"{rows['test']:,} rows, sealed: nothing on this page comes from them"))
    if rows["left_out"]:
        told.append(("left out", f"{rows['left_out']:,} rows that are equal to a test row, or of its group"))
    if rows["looked_at"] < rows["train"] + rows["val"]:
        told.append(("sample", f"columns and leaks by {rows['looked_at']:,} rows, evenly over all"))
    if facts["vault"]:
        told.append(("vault", facts["vault"]))
    notes = "".join(f"<li>{escape(note)}</li>" for note in facts["notes"])
    return section("What was found", definitions(told) + (f"<h3>Notes</h3><ul>{notes}</ul>" if notes else ""))


def _checks(facts: Facts) -> str:
    order = {"bad": 0, "look": 1, "good": 2}
    rows = [
        [verdict_chip(check["verdict"]), escape(check["name"]), escape(check["what"])]
        for check in sorted(facts["checks"], key=lambda check: order[check["verdict"]])
    ]
    note = "<p class='note'>By train and val rows only. A chip asks a person to look; it proves nothing.</p>"
    return section("Leak checks", table(["", "check", "found"], rows) + note)


def _targets(facts: Facts) -> str:
    if facts["classes"]:
        bars = charts.class_bars(facts["classes"])
        note = "<p class='note'>Bars: share of the part's rows. Beside them: train / val rows, share of train.</p>"
        return section("Labels" if task_of(facts["task"]).is_labels else "Classes", figure(bars) + note)
    values = facts["values"]
    if not values:
        return ""
    told = [(name, digits(values[name], 6)) for name in ("mean", "std", "min", "median", "max")]
    drawn = figure(charts.histogram(values["histogram"], label="targets of train rows"))
    return section("Target", drawn + definitions(told))


def _examples(facts: Facts, strips: Strips) -> str:
    if strips:
        rows = [
            [escape(name), f'<img class="strip" alt="{escape(name)}" src="{as_data_uri(png)}">'] for name, png in strips
        ]
        return section("Examples", table(["", "train images"], rows))
    examples = facts["examples"]
    if not examples:
        return ""
    # the target first: a wide table is scrolled
    header, *rows = (
        [escape(cell) for cell in (row[-1], *row[: min(len(row) - 1, MAX_COLUMNS)])]
        for row in (examples["header"], *examples["rows"])
    )
    note = "<p class='note'>Train rows; first the target.</p>"
    return section("Examples", f"<div class='dense cut'>{table(header, rows)}</div>{note}")


def _columns(facts: Facts) -> str:
    if facts["pixels"]:
        return _pixels(facts)
    columns = facts["columns"]
    rows = [_column_row(column) for column in columns[:MAX_COLUMNS]]
    if not rows:
        return ""
    more = f" The first {MAX_COLUMNS} of {len(columns):,} columns." if len(columns) > MAX_COLUMNS else ""
    note = f"<p class='note'>Of train rows; missing: train / val. Histograms show the middle 99 %.{more}</p>"
    names = ["column", "type", "missing %", "distinct", "mean ± std, or most frequent", "range", ""]
    return section("Columns", f"<div class='dense'>{table(names, rows, numeric=(2, 3))}</div>{note}")


def _column_row(column: Facts) -> list[str]:
    val = column["missing_val"] / max(1, column["rows_val"])
    is_missing = column["missing_train"] or column["missing_val"]
    missing = f"{100 * missing_share(column):.1f} / {100 * val:.1f}" if is_missing else "0"
    told = [f"<b>{escape(column['name'])}</b>", column["type"], missing, f"{column['distinct']:,}"]
    if column["type"] == "category":
        top = ", ".join(f"{escape(name)} ({count:,})" for name, count in column["top"][:4])
        bars = {"counts": [count for _, count in column["top"]], "low": 0, "high": 0}
        return [*told, top, "", charts.histogram(bars, label=f"{column['name']}", is_small=True)]
    if not column["histogram"]:
        return [*told, "all missing", "", ""]
    spread = f"{digits(column['min'])}&nbsp;…&nbsp;{digits(column['max'])}"
    drawn = charts.histogram(column["histogram"], label=column["name"], is_small=True)
    return [*told, f"{digits(column['mean'])} ± {digits(column['std'])}", spread, drawn]


def _pixels(facts: Facts) -> str:
    pixels = facts["pixels"]
    if not pixels["histogram"]:
        return ""
    told = [(name, digits(pixels[name])) for name in ("mean", "std", "min", "max")]
    drawn = charts.histogram(pixels["histogram"], label="numbers in train rows")
    return section("Pixels" if facts["kind"] == "image" else "Values", figure(drawn) + definitions(told))
