"""The table of a sweep: its trials, best first, with mean and spread over their runs, cost, status and values."""

from __future__ import annotations

import math
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Column
from rich.text import Text

from holdfast.core.advice import in_shell, setting
from holdfast.core.errors import InputError
from holdfast.core.exits import program
from holdfast.core.figures import figure
from holdfast.core.run_record import FILE_NAME, read_run
from holdfast.core.sweep_folder import SWEEP_FILE, runs_of
from holdfast.core.terminal import Console, numbers_column, plain_table
from holdfast.search.record import SweepRecord, read_sweep

if TYPE_CHECKING:
    from holdfast.search.study import TrialResult

ORDER = ("completed", "running", "interrupted", "pruned", "failed")
MOST_SHOWN = 20
MOST_METRICS = 3


@dataclass(frozen=True)
class Row:
    """A trial in the table."""

    number: int  # of the trial
    status: str  # "running", "completed", "pruned", "failed" or "interrupted"
    value: float | None  # the monitored metric, the mean over its runs; of a trial that trains, the best so far
    spread: float | None  # the standard deviation over its runs; None for one run
    metrics: dict[str, float]  # the other val metrics of the best epochs, means over its runs
    runs: list[Path]  # the folders of its runs
    checkpoints: list[Path]  # the best checkpoint of each run that has one
    epochs: int  # trained by all runs together
    seconds: float  # of training, all runs together
    overrides: list[str]  # its values
    reason: str | None  # why it failed, was pruned or stopped


@dataclass(frozen=True)
class Leaderboard:
    """A sweep and how far it has come."""

    folder: Path  # of the sweep
    record: SweepRecord  # what it is
    rows: list[Row]  # its trials, best first; the first ones where only those were asked for
    counts: dict[str, int]  # status -> number of trials
    failures: dict[str, list[int]]  # reason -> numbers of the trials that failed of it
    num_retried: int  # how many of those a resumed sweep tries again

    @property
    def best(self) -> Row | None:
        """The best completed trial; None where there is none."""
        return self.rows[0] if self.rows and self.rows[0].status == "completed" else None

    @property
    def num_missing(self) -> int:
        """The trials that have not ended, those included that were not begun."""
        return self.record.trials - sum(self.counts.get(status, 0) for status in ("completed", "pruned", "failed"))


def leaderboard_of(folder: Path, most: int | None = None) -> Leaderboard:
    """Read the trials of a sweep; with `most`, the runs of other trials are not looked at.

    Raises:
        InputError: The folder holds no sweep of ours, or its storage cannot be read.
    """
    from holdfast.search.study import Study

    record = read_sweep(folder)
    trials = Study.open(folder).trials()
    sign = -1 if record.mode == "max" else 1
    ranked = sorted(
        trials,
        key=lambda trial: (
            ORDER.index(trial.status),
            math.inf if trial.value is None else sign * trial.value,
            trial.number,
        ),
    )
    failed = [trial for trial in trials if trial.status == "failed"]
    rows = [_row(trial, record) for trial in ranked[:most]]
    counts: dict[str, int] = dict(Counter(trial.status for trial in trials))
    num_retried = sum(trial.can_be_retried for trial in failed)
    return Leaderboard(folder, record, rows, counts, _by_cause(failed), num_retried)


def border_warnings(board: Leaderboard) -> Iterator[str]:
    """Say which values of the best trial lie at an end of their range, beyond which better ones may lie."""
    if board.best is None:
        return
    values = dict(word.partition("=")[::2] for word in board.best.overrides)
    for dimension in board.record.space.dimensions:
        end = dimension.near_end(values[dimension.key]) if dimension.key in values else None
        if end is not None:
            value = f"{dimension.key}={values[dimension.key]}"
            where = f"is the end of its range, {dimension}"
            if values[dimension.key] != end:
                where = f"lies within 5 % of the end of its range, {end}"
            yield f"the best {value} {where}: a wider range may hold a better one"


def print_leaderboard(board: Leaderboard, console: Console) -> None:
    """Print the table, what stands out, and what to type next."""
    console.print(render(board, console.width))
    for line in _advice(board):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_sweep(folder: Path) -> None:
    """Print what came of a sweep, whichever sweeper ran it, and where its learning curve lies."""
    from holdfast.reporting.leaderboard import leaderboard, print_table, repeats_below
    from holdfast.reporting.learning_curve import leave_learning_curve

    console = Console(width=None if sys.stdout.isatty() else 200)
    with suppress(InputError):  # no job came as far as a record
        files = leave_learning_curve(folder)
        print()
        if (folder / SWEEP_FILE).is_file():
            print_leaderboard(leaderboard_of(folder, MOST_SHOWN), console)
        else:
            rows = leaderboard(folder)
            print_table(rows, console, repeats_below(folder))
            if rows[0].value is not None:
                print(f"next   holdfast freeze {in_shell(folder / rows[0].folder)}")
        if files:
            print(f"curve  {', '.join(in_shell(file) for file in files)}", flush=True)


def render(board: Leaderboard, width: int) -> RenderableType:
    """The table with a line on the whole sweep."""
    names = _metric_names(board.rows, board.record.monitor)[: max(0, min(MOST_METRICS, width // 40 - 1))]
    scores = [board.record.monitor, *(name.removeprefix("val/") for name in names)]
    numbers = map(numbers_column, [*scores, "epochs", "time"])
    table = plain_table(numbers_column("trial"), Column("status", no_wrap=True), *numbers, "values")
    for row in board.rows:
        spread = f" ± {figure(row.spread)}" if row.spread is not None else ""
        value = f"{figure(row.value)}{spread}" if row.value is not None else ""
        metrics = [figure(row.metrics[name]) if name in row.metrics else "" for name in names]
        epochs, time = (str(row.epochs), duration(row.seconds)) if row.epochs else ("", "")
        table.add_row(str(row.number), row.status, value, *metrics, epochs, time, escape(" ".join(row.overrides)))
    return Group(table, Text(_summary(board), style="dim"))


def duration(seconds: float) -> str:
    """Seconds as a person says them: 3.2 s, 12 min, 5.1 h."""
    if seconds < 100:
        amount, unit = seconds, "s"
    elif seconds < 100 * 60:
        amount, unit = seconds / 60, "min"
    else:
        amount, unit = seconds / 3600, "h"
    return f"{amount:.{1 if amount < 10 else 0}f} {unit}"


def _by_cause(failed: Sequence[TrialResult]) -> dict[str, list[int]]:
    """The numbers of failed trials by their reason; reasons that differ in numbers alone are one, told by the first."""
    reasons: dict[str, str] = {}
    numbers: dict[str, list[int]] = {}
    for trial in failed:
        lines = (trial.reason or "no reason is known").partition("; next:")[0].splitlines()
        reason = reasons.setdefault(re.sub(r"\d+", "#", lines[0]), lines[0])
        numbers.setdefault(reason, []).append(trial.number)
    return numbers


def _row(trial: TrialResult, record: SweepRecord) -> Row:
    records: list[tuple[Path, dict[str, Any]]] = []
    alone = trial.folder / FILE_NAME
    for run in [trial.folder] if alone.exists() else runs_of(trial.folder):
        with suppress(InputError):  # it is just being written, or damaged
            records.append((run, read_run(run)))
    bests = [entry["best"] for _, entry in records if entry["best"]]
    values = [best["value"] for best in bests if best["value"] is not None]
    return Row(
        number=trial.number,
        status=trial.status,
        value=trial.value if trial.value is not None or not values else statistics.fmean(values),
        spread=statistics.stdev(values) if len(record.repeats) > 1 and len(values) > 1 else None,
        metrics={name: statistics.fmean(numbers) for name, numbers in _numbers(bests).items()},
        runs=[run for run, _ in records],
        checkpoints=[
            run / best["checkpoint"] for run, entry in records if (best := entry["best"]) and best["checkpoint"]
        ],
        epochs=sum(len(entry["history"]) for _, entry in records),
        seconds=sum(epoch["seconds"] for _, entry in records for epoch in entry["history"]),
        overrides=trial.overrides,
        reason=trial.reason,
    )


def _numbers(bests: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """The val metrics that all runs of a trial have, by name."""
    names = bests[0]["metrics"] if bests else {}
    columns = {name: [best["metrics"].get(name) for best in bests] for name in names}
    return {name: column for name, column in columns.items() if None not in column}


def _metric_names(rows: Sequence[Row], monitor: str) -> list[str]:
    return [name for name in dict.fromkeys(name for row in rows for name in row.metrics) if name != monitor]


def _summary(board: Leaderboard) -> str:
    record = board.record
    begun = sum(board.counts.values())
    parts = [f"{board.counts[status]} {status}" for status in ORDER if status in board.counts]
    runs = f" of {len(record.repeats)} runs" if len(record.repeats) > 1 else ""
    shown = f"; the first {len(board.rows)} are shown" if len(board.rows) < begun else ""
    how = f"by the mean of {record.monitor}" if runs else f"by {record.monitor}"
    ended = f"{begun} of {record.trials} trials{runs}: {', '.join(parts) or 'none yet'}"
    return f"{ended}; best first {how} ({record.mode}){shown}"


def _advice(board: Leaderboard) -> Iterator[str]:
    """Lines below the table: what failed, what lies at a border, where the best is, and what to type."""
    folder = in_shell(board.folder)
    for reason, numbers in board.failures.items():
        which = ", ".join([*map(str, numbers[:10]), *(["..."] if len(numbers) > 10 else [])])
        yield f"failed {which}: {reason}"
    for warning in border_warnings(board):
        yield f"border {warning}"
    if board.best is not None and not board.best.runs:
        yield f"lost   the run of the best trial, {board.folder / str(board.best.number)}, cannot be read"
    elif board.best is not None:
        for checkpoint in board.best.checkpoints:
            yield f"best   {checkpoint}"
        yield f"save   holdfast runs {folder} --save recipes/best.yaml"
    if (board.num_missing > 0 or board.num_retried > 0) and not board.counts.get("running"):
        parts = [f"missing: {board.num_missing}"] if board.num_missing > 0 else []
        parts += [f"failed, to be tried again: {board.num_retried}"] if board.num_retried > 0 else []
        yield f"go on  {program()} -m {setting('resume', board.folder)}   ({'; '.join(parts)})"
    if board.num_missing == 0 and board.best is not None and len(board.best.runs) == 1:
        yield f"next   holdfast freeze {in_shell(board.best.runs[0])}"
