"""A data set on the terminal: a few lines, a table of columns or classes, the checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Column

from holdfast.core.figures import digits
from holdfast.core.terminal import Console, numbers_column, plain_table
from holdfast.reporting.charts import short
from holdfast.reporting.data_page import column_row, overview

# What a table's other columns take: longer texts, such as names of people, are cut off instead of squeezing them.
OTHER_COLUMNS, LEAST_TEXT = 80, 18
MAX_COLUMNS = 40
MAX_CLASSES = 20
BLOCKS = " ▁▂▃▄▅▆▇█"
MARKS = {"good": "[green]ok[/]", "look": "[yellow]look[/]", "bad": "[bold red]leak?[/]"}
Facts = Mapping[str, Any]


def print_data(facts: Facts, batch: Facts, console: Console) -> None:
    """Print what `data inspect` found, and what a batch is like when the model gets it."""
    console.print(f"data      [bold]{escape(facts['name'])}[/]")
    for name, words in overview(facts):
        console.print(f"{name:9} {words}", markup=False)
    shape, numbers = " x ".join(map(str, batch["shape"])), f"{digits(batch['least'])} to {digits(batch['largest'])}"
    spread = f"{digits(batch['mean'])} ± {digits(batch['std'])}"
    console.print(f"batch     rows of {shape} as the model gets them, from {numbers}, {spread}")
    for note in facts["notes"]:
        console.print(f"note      {note}", markup=False)
    console.print()
    if facts["columns"]:
        _print_columns(facts["columns"], console)
    if facts["classes"]:
        _print_classes(facts["classes"], console)
    for values in facts["values"] or ():
        numbers = ", ".join(f"{name} {digits(values[name])}" for name in ("mean", "std", "min", "median", "max"))
        console.print(f"target    {escape(values['name'])} {bars(values['histogram'])}  {numbers}\n")
    checks = plain_table("check", "", "found")
    for check in facts["checks"]:
        checks.add_row(check["name"], MARKS[check["verdict"]], escape(check["what"]))
    console.print(checks)


def bars(histogram: Mapping[str, Any] | None) -> str:
    """A histogram in one line of blocks."""
    if not histogram:
        return ""
    counts = histogram["counts"]
    if len(counts) > 12:
        counts = [sum(counts[place : place + 2]) for place in range(0, len(counts), 2)]
    most = max(counts) or 1
    return "".join(BLOCKS[-(-count * (len(BLOCKS) - 1) // most)] for count in counts)


def _print_columns(columns: Sequence[Facts], console: Console) -> None:
    numbers = map(numbers_column, ("missing %", "distinct"))
    middle = Column("mean ± std, or most frequent", overflow="ellipsis")
    short_texts = [Column(header, no_wrap=True) for header in ("type", "range", "")]
    table = plain_table("column", short_texts[0], *numbers, middle, *short_texts[1:])
    room = max(LEAST_TEXT, console.width - OTHER_COLUMNS)
    for column in columns[:MAX_COLUMNS]:
        name, cells, histogram = column_row(column)
        table.add_row(escape(name), *(escape(short(cell, room)) for cell in cells), bars(histogram))
    console.print(table)
    if len(columns) > MAX_COLUMNS:
        console.print(f"and {len(columns) - MAX_COLUMNS:,} more columns", style="dim")
    console.print()


def _print_classes(classes: Sequence[Facts], console: Console) -> None:
    table = plain_table("class", *map(numbers_column, ("train", "val", "share")), "")
    total, most = (max(1, of(entry["train"] for entry in classes)) for of in (sum, max))
    for entry in classes[:MAX_CLASSES]:
        counts = [f"{entry[part]:,}" for part in ("train", "val")]
        share, bar = f"{100 * entry['train'] / total:.1f} %", "█" * round(24 * entry["train"] / most)
        table.add_row(escape(entry["name"]), *counts, share, bar)
    console.print(table)
    if len(classes) > MAX_CLASSES:
        console.print(f"and {len(classes) - MAX_CLASSES:,} more classes", style="dim")
    console.print()
