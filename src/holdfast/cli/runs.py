"""`holdfast runs PATH`: a table of runs, or of the trials of a sweep; it can be watched, and its best point saved."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.arguments import Json, Overwrite
from holdfast.core.advice import setting
from holdfast.core.errors import InputError
from holdfast.core.sweep_folder import SWEEP_FILE
from holdfast.core.terminal import Console

REFRESH_S = 2.0
QUIET_S = 30.0  # after which nobody works on a sweep any more


def runs(
    path: Annotated[Path, typer.Argument(help="A run, a sweep, or any folder above them.")] = Path("outputs"),
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show the trials of a sweep as they train.")] = False,
    save: Annotated[
        Path | None, typer.Option(help="Write the best point of a sweep as a recipe, such as recipes/best.yaml.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Table of runs, or of the trials of a sweep: val metrics, status, time, overrides that differ."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    if (path / SWEEP_FILE).is_file():
        _show_sweep(path, console, as_json=as_json, watch=watch, save=save, overwrite=overwrite)
        return
    for flag, value in (("--watch", watch), ("--save", save)):
        if value:
            raise InputError(flag, f"{path} is no sweep of Holdfast's", "the folder of a sweep")
    from holdfast.reporting.leaderboard import leaderboard, print_table, repeats_below

    rows, repeats = leaderboard(path), repeats_below(path)
    if as_json:
        print(json.dumps({"runs": [asdict(row) for row in rows], "repeats": [asdict(entry) for entry in repeats]}))
    else:
        print_table(rows, console, repeats)


def _show_sweep(
    path: Path, console: Console, *, as_json: bool, watch: bool, save: Path | None, overwrite: bool
) -> None:
    from holdfast.search.best_recipe import save_best
    from holdfast.search.leaderboard import MOST_SHOWN, border_warnings, leaderboard_of, print_leaderboard

    if watch:
        _watch(path, console)
    board = leaderboard_of(path, None if as_json else MOST_SHOWN)
    if save is not None:
        save_best(board, save, overwrite=overwrite)
    if as_json:
        trials = [asdict(row) for row in board.rows]
        fields = {"counts": board.counts, "missing": board.num_missing, "border": list(border_warnings(board))}
        answer = {"sweep": path, "trials": trials, **fields, "saved": save}
        print(json.dumps(answer, default=str))  # paths are texts
    elif save is not None:
        print(f"wrote {save}: python train.py {setting('recipes', save.stem)}")
    else:
        print_leaderboard(board, console)


def _watch(path: Path, console: Console) -> None:
    """Show the table as it grows, until the sweep has ended, nobody works on it, or Ctrl-C."""
    from rich.live import Live

    from holdfast.search.leaderboard import MOST_SHOWN, leaderboard_of, render

    last_sign = time.monotonic()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        try:
            while True:
                board = leaderboard_of(path, MOST_SHOWN)
                live.update(render(board, console.width), refresh=True)
                if board.counts.get("running"):
                    last_sign = time.monotonic()
                if not board.num_missing or time.monotonic() - last_sign > QUIET_S:
                    return
                time.sleep(REFRESH_S)
        except KeyboardInterrupt:
            return
