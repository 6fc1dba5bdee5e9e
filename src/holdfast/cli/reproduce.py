"""`holdfast reproduce RUN|RECIPE`: run it again, and say whether the result is the same."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import api
from holdfast.cli.arguments import Json
from holdfast.config.resolve import import_from_here
from holdfast.core.terminal import Console

if TYPE_CHECKING:
    from holdfast.experiment.reproduction import Reproduction


def reproduce(
    source: Annotated[str, typer.Argument(metavar="RUN|RECIPE", help="The folder of a run, or a recipe with a lock.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="data.path=DIR, threads=N, trusted_modules=[...].")
    ] = None,
    *,
    lock: Annotated[Path | None, typer.Option(help="Write what was measured, such as recipes/locks/NAME.json.")] = None,
    as_json: Json = False,
) -> None:
    """Run a run or a recipe again from its record, compare the two, and exit with 1 where the result differs."""
    import_from_here()
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        reproduction = api.reproduce(source, overrides or [])
    if lock is not None:
        from holdfast.experiment.reproduce import write_lock

        write_lock(reproduction, lock)
    if as_json:
        print(json.dumps(reproduction.as_dict()))
    else:
        _tell(reproduction)
    if not reproduction.is_reproduced:
        raise typer.Exit(1)


def _tell(reproduction: Reproduction) -> None:
    from holdfast.reporting.diff import print_rows

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    folder = reproduction.run.folder
    print(f"\nrun    {folder}   (repeats {reproduction.source})")
    print_rows(reproduction.differences, "then", "now", console)
    for note in reproduction.notes:
        console.print(f"note   {note}", markup=False)
    console.print(reproduction.conclusion, markup=False)
