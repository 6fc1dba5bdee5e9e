"""A data set on a page: what was found, classes, columns, examples, checks. The run's report has the same sections."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.core.figures import digits
from holdfast.core.tasks import task_of
from holdfast.reporting.dataset import missing_share
from holdfast.reporting.pages import render

MAX_COLUMNS = 100
Facts = Mapping[str, Any]
Strips = Sequence[tuple[str, bytes]]


def data_page(facts: Facts, strips: Strips, batch: Facts, written: str) -> str:
    """The page of `holdfast data inspect`; `written` is when, ISO 8601."""
    return render("data_page.html", {**data_sections(facts, strips), "batch": batch, "written": written})


def data_sections(facts: Facts, strips: Strips) -> dict[str, Any]:
    """The facts about a data set that `data_sections.html` shows."""
    examples = facts["examples"]
    listed = [examples["header"], *examples["rows"]] if examples else []
    return {
        "facts": facts,
        "overview": overview(facts),
        "has_labels": task_of(facts["task"]).is_labels,
        "strips": [(name, base64.b64encode(png).decode()) for name, png in strips],
        # the target first: a wide table is scrolled
        "examples": [[cells[-1], *cells[: min(len(cells) - 1, MAX_COLUMNS)]] for cells in listed],
        "column_rows": [column_row(column) for column in facts["columns"][:MAX_COLUMNS]],
    }


def _row_words(facts: Facts) -> str:
    """A stored row in words."""
    shape = " x ".join(map(str, facts["row"]["shape"])) or "one number"
    kinds = {"image": f"image, {shape} (height, width, channels)", "array": f"array, {shape}"}
    if facts["kind"] != "table":
        return f"{kinds[facts['kind']]}, {facts['row']['dtype']}"
    types = [column["type"] for column in facts["columns"]]
    counted = [(types.count("number"), "number"), (types.count("category"), "category")]
    columns = " and ".join(f"{count} {name} column{'s' * (count != 1)}" for count, name in counted if count)
    return f"table of {columns}, {facts['row']['dtype']}"


def overview(facts: Facts) -> list[tuple[str, str]]:
    """Names of what is known of a data set and, in words, what it is."""
    rows, classes = facts["rows"], facts["classes"]
    entries = [("rows", _row_words(facts)), ("task", facts["task"] + (f", {len(classes)} classes" if classes else ""))]
    if facts["target"]:
        entries.append(("target", facts["target"]))
    entries += [("train", f"{rows['train']:,} rows"), ("val", f"{rows['val']:,} rows")]
    test = f"{rows['test']:,} rows, sealed: nothing here comes from them" if rows["test"] else "no rows were set aside"
    entries.append(("test", test))
    if rows["left_out"]:
        entries.append(("left out", f"{rows['left_out']:,} rows that are equal to a test row, or of its group"))
    if rows["looked_at"] < rows["train"] + rows["val"]:
        entries.append(("sample", f"columns and leaks by {rows['looked_at']:,} rows, evenly over all"))
    if facts["vault"]:
        entries.append(("vault", facts["vault"]))
    return entries


def column_row(column: Facts) -> tuple[str, list[str], Mapping[str, Any] | None]:
    """Name, cells and histogram of a column: type, missing %, distinct, middle or most frequent, range."""
    val = column["missing_val"] / max(1, column["rows_val"])
    is_missing = column["missing_train"] or column["missing_val"]
    missing = f"{100 * missing_share(column):.1f} / {100 * val:.1f}" if is_missing else "0"
    cells, bars = [column["type"], missing, f"{column['distinct']:,}"], column.get("histogram")
    if column["type"] == "category":
        cells += [", ".join(f"{name} ({count:,})" for name, count in column["top"][:4]), ""]
        bars = {"counts": [count for _, count in column["top"]], "low": 0, "high": 0}
    elif not bars:
        cells += ["all missing", ""]
    else:
        spread = f"{digits(column['min'])}\u00a0…\u00a0{digits(column['max'])}"
        cells += [f"{digits(column['mean'])} ± {digits(column['std'])}", spread]
    return column["name"], cells, bars
