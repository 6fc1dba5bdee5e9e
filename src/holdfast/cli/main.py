"""The console script `holdfast`: one small function a verb. Exit codes and errors as in `holdfast.core.errors`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from holdfast import __version__
from holdfast.cli.exits import ending

app = typer.Typer(
    help="Experiments whose test rows stay locked: train, compare by val scores, freeze a choice, open the vault once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
vault_app = typer.Typer(help="What is sealed, what was opened, and whether the ledger is whole.", no_args_is_help=True)
app.add_typer(vault_app, name="vault")

Json = Annotated[bool, typer.Option("--json", help="Answer for a script, on stdout.")]


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def train(context: typer.Context) -> None:
    """Train one run or a sweep: the same as `python train.py ...`; `holdfast train --help` for more."""
    # A process of its own, so that what Lightning starts for more devices has the same command line.
    command = [sys.executable, "-m", "holdfast.cli.train", *context.args]
    if os.name == "nt":
        raise typer.Exit(subprocess.run(command, check=False).returncode)
    os.execv(sys.executable, command)


@app.command()
def runs(
    path: Annotated[Path, typer.Argument(help="A run, a sweep, or any folder above them.")] = Path("outputs"),
    as_json: Json = False,
) -> None:
    """Table of runs: val metrics, status, time, overrides that differ."""
    from rich.console import Console

    from holdfast.reporting.leaderboard import leaderboard, print_table

    with ending(as_json=as_json):
        rows = leaderboard(path)
        if as_json:
            print(json.dumps({"runs": [asdict(row) for row in rows]}))
        else:
            print_table(rows, Console(width=None if sys.stdout.isatty() else 200))


@app.command()
def freeze(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of completed runs or ensembles; the first is the one chosen.")
    ],
    criterion: Annotated[
        str | None, typer.Option(help='What must hold on the test rows, such as "accuracy > 0.94".')
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose for the final evaluation: copies the files of one run, or of several to compare, into a selection."""
    from holdfast.cli.freeze import freeze as freeze_runs

    with ending(as_json=as_json):
        freeze_runs(runs, as_json, criterion)


@app.command(name="open")
def open_(
    selection: Annotated[str, typer.Argument(help="A selection's id, or eight or more of its first digits.")],
    as_json: Json = False,
) -> None:
    """The final stage: evaluate a frozen selection on the sealed test rows, once."""
    from holdfast.cli.open import open_selection

    with ending(as_json=as_json):
        open_selection(selection, as_json)


@app.command()
def report(
    selection: Annotated[str, typer.Argument(help="A selection's id, or eight or more of its first digits.")],
    as_json: Json = False,
) -> None:
    """Write the report of a selection (HTML and JSON) beside it; nothing is decrypted."""
    from holdfast.cli.report import report as write_report

    with ending(as_json=as_json):
        write_report(selection, as_json)


@vault_app.command()
def status(as_json: Json = False) -> None:
    """What is sealed, what is frozen, what was opened."""
    from holdfast.cli.vault import status as vault_status

    with ending(as_json=as_json):
        vault_status(as_json)


@vault_app.command()
def verify(as_json: Json = False) -> None:
    """Check every ledger, file and head, without a key; exit code 3 when something is found."""
    from holdfast.cli.vault import verify as vault_verify

    with ending(as_json=as_json):
        code = vault_verify(as_json)
    raise typer.Exit(code)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"holdfast {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
