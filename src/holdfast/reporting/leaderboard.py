"""`holdfast runs PATH`: a table of runs by their val scores. Reads run records only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from holdfast.core.errors import InputError
from holdfast.core.figures import figure
from holdfast.core.run_record import FILE_NAME, read_run
from holdfast.core.terminal import Console, numbers_column, plain_table
from holdfast.reporting.repeats import Repeats, data_name, find_repeats

MAX_METRICS = 4
METRIC_WIDTH = 40  # columns of the terminal for each metric, so that folders stay in one piece


@dataclass(frozen=True)
class Row:
    """One run in the table."""

    folder: str  # relative to the path that was asked for
    data: str  # the data set and the vault of its test rows: scores of different ones cannot be compared
    status: str
    monitor: str
    mode: str
    value: float | None
    epoch: int | None
    metrics: dict[str, float]
    overrides: list[str]  # those that are not shared by all runs
    seconds: float | None  # from start to end; None while it runs
    created: str


def find_runs(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Every run at or below `path`, with its record; folders that cannot be read are told as `unreadable`.

    Raises:
        InputError: There is no such folder, or no run in it.
    """
    if not path.is_dir():
        raise InputError(str(path), "is no folder", next="`python train.py` writes its runs below outputs")
    runs = []
    for folder, below, files in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if FILE_NAME in files:
            below.clear()  # what lies in the folder of a run belongs to it
            try:
                runs.append((Path(folder), read_run(Path(folder))))
            except InputError as error:
                runs.append((Path(folder), {"status": "unreadable", "stop_reason": str(error)}))
    if not runs:
        raise InputError(str(path), "holds no run", next="`python train.py` makes one")
    return runs


def leaderboard(path: Path) -> list[Row]:
    """The runs below `path`: best first within one data set and monitor, runs without a score last."""
    records = find_runs(path)
    counts = Counter(word for _, record in records for word in set(record.get("overrides") or []))
    shared = {word for word, count in counts.items() if count == len(records) > 1}
    rows = [_row(folder.relative_to(path), record, shared) for folder, record in records]
    return sorted(rows, key=_rank)


def repeats_below(path: Path) -> list[Repeats]:
    """Means over the runs of one sweep that differ in nothing but fold or seed."""
    return find_repeats(path, find_runs(path))


def _row(folder: Path, record: dict[str, Any], shared: set[str]) -> Row:
    best = record.get("best") or {}
    return Row(
        folder=str(folder),
        data=data_name(record),
        status=record["status"],
        monitor=record.get("monitor") or "",
        mode=record.get("mode") or "min",
        value=best.get("value"),
        epoch=best.get("epoch"),
        metrics=best.get("metrics") or {},
        overrides=[word for word in record.get("overrides") or [] if word not in shared],
        seconds=_seconds(record),
        created=record.get("created") or "",
    )


def _rank(row: Row) -> tuple[bool, str, bool, str, float, str]:
    value = row.value or 0.0
    return (not row.data, row.data, row.value is None, row.monitor, -value if row.mode == "max" else value, row.created)


def _seconds(record: dict[str, Any]) -> float | None:
    if not record.get("finished"):
        return None
    return (datetime.fromisoformat(record["finished"]) - datetime.fromisoformat(record["created"])).total_seconds()


def print_table(rows: Sequence[Row], console: Console, repeats: Sequence[Repeats] = ()) -> None:
    """Print a table for each data set; the monitored metric comes first, means over folds and seeds come last."""
    data_sets = list(dict.fromkeys(row.data for row in rows))
    for name in data_sets:
        if len(data_sets) > 1:
            console.print(name or "no data", style="bold", highlight=False)
        of_data = [row for row in rows if row.data == name]
        of_data_repeats = [group for group in repeats if group.data == name]
        console.print(_table(of_data, of_data_repeats, max(1, console.width // METRIC_WIDTH - 1)))
        if len(data_sets) > 1:
            console.print()
    monitors = sorted({f"{row.monitor} ({row.mode})" for row in rows if row.monitor})
    console.print(f"{len(rows)} runs, val metrics, best first by {', '.join(monitors) or 'nothing'}", style="dim")


def _table(rows: Sequence[Row], repeats: Sequence[Repeats], num_metrics: int) -> Table:
    monitors = [row.monitor for row in rows if row.value is not None]
    names = [*dict.fromkeys([*monitors, *(name for row in rows for name in row.metrics)])]
    names = names[: min(MAX_METRICS, num_metrics)]
    metrics = [name.removeprefix("val/") if name.count("/") == 1 else name for name in names]
    run, scores = Column("run", no_wrap=True, overflow="fold"), map(numbers_column, [*metrics, "epoch", "time"])
    table = plain_table(run, "status", *scores, "overrides that differ")
    for row in rows:
        numbers = [figure(row.metrics[name]) if row.metrics.get(name) is not None else "" for name in names]
        time = "" if row.seconds is None else f"{row.seconds:.{1 if row.seconds < 10 else 0}f} s"
        overrides = escape(" ".join(row.overrides))  # square brackets are a list here, not a style
        table.add_row(escape(row.folder), row.status, *numbers, str(row.epoch or ""), time, overrides)
    for number, group in enumerate(repeats):
        if not number:
            table.add_section()
        _add_means(table, group, names)
    return table


def _add_means(table: Table, repeats: Repeats, names: Sequence[str]) -> None:
    means = {name: f"{figure(value)} ± {figure(repeats.std[name])}" for name, value in repeats.mean.items()}
    over = " and ".join(repeats.over)
    mean = f"mean ± std of {repeats.n}"
    run, status = (mean, f"over {over}") if repeats.folder == "." else (repeats.folder, f"{mean} over {over}")
    overrides = escape(" ".join(repeats.overrides))
    numbers = [means.get(name, "") for name in names]
    table.add_row(escape(run), status, *numbers, "", "", overrides)
