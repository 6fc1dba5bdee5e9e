"""The console script `holdfast`: one small function a verb. Exit codes and errors as in `holdfast.core.errors`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast import __version__
from holdfast.cli.arguments import Json, KeyFile, Overwrite, Reason, Run, Selection
from holdfast.cli.vault_app import vault_app
from holdfast.core.cores import set_spin_count
from holdfast.core.errors import InputError
from holdfast.core.exits import ending

# What Typer raises for a command line that it cannot read; newer releases carry a copy of click of their own.
UsageError: type[Any] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    help="Experiments whose test rows stay locked: train, compare by val scores, freeze a choice, open the vault once.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(vault_app, name="vault")
schedule_app = typer.Typer(help="Learning-rate schedules.", no_args_is_help=True)
app.add_typer(schedule_app, name="schedule")

data_app = typer.Typer(help="Data sets: what is in them, by train and val rows.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def train(context: typer.Context) -> None:
    """Train one run or a sweep: the same as `python train.py ...`; `holdfast train --help` for more."""
    # A process of its own, so that what Lightning starts for more devices has the same command line.
    command = [sys.executable, "-P", "-m", "holdfast.cli.train", *context.args]
    if os.name == "nt":
        raise typer.Exit(subprocess.run(command, check=False).returncode)
    os.execv(sys.executable, command)


@app.command()
def runs(
    path: Annotated[Path, typer.Argument(help="A run, a sweep, or any folder above them.")] = Path("outputs"),
    as_json: Json = False,
) -> None:
    """Table of runs: val metrics, status, time, overrides that differ."""
    from holdfast.core.terminal import Console
    from holdfast.reporting.leaderboard import leaderboard, print_table, repeats_below

    with ending(as_json=as_json):
        rows, repeats = leaderboard(path), repeats_below(path)
        if as_json:
            answer = {"runs": [asdict(row) for row in rows], "repeats": [asdict(entry) for entry in repeats]}
            print(json.dumps(answer))
        else:
            print_table(rows, Console(width=None if sys.stdout.isatty() else 200), repeats)


@app.command()
def freeze(
    runs: Annotated[
        list[Path], typer.Argument(help="The folder of a completed run or ensemble; of several under vault=batch.")
    ],
    criterion: Annotated[
        str | None, typer.Option(help='What must hold on the test rows, such as "accuracy > 0.94".')
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose for the final evaluation: copies the files of a run into a selection."""
    from holdfast.cli.freeze import freeze as freeze_runs

    with ending(as_json=as_json):
        freeze_runs(runs, as_json, criterion)


@app.command(name="open")
def open_(
    selection: Selection,
    reason: Annotated[str | None, typer.Option(help="Opens a vault again: one metric, not a clean test.")] = None,
    key: KeyFile = None,
    as_json: Json = False,
) -> None:
    """The final stage: evaluate a frozen selection on the sealed test rows, once.

    Models that were frozen together (vault=batch vault.k=K) are compared on the same rows. Each interval is at
    alpha / K, and the p values of all comparisons are corrected by Holm.
    """
    from holdfast.cli.open import open_selection

    with ending(as_json=as_json):
        open_selection(selection, as_json, reason, key)


@app.command()
def reopen(selection: Selection, reason: Reason, key: KeyFile = None, as_json: Json = False) -> None:
    """Open a vault that was opened, at the level of the primary metric: not a clean test."""
    from holdfast.cli.open import open_selection

    with ending(as_json=as_json):
        open_selection(selection, as_json, reason, key)


@app.command()
def report(
    selection: Annotated[str, typer.Argument(help="The folder of a run, or a selection's id.")], as_json: Json = False
) -> None:
    """Write the report of a run into its folder, or that of a selection beside it; nothing is decrypted."""
    from holdfast.cli.report import report_run, report_selection

    with ending(as_json=as_json):
        if Path(selection).is_dir():
            report_run(Path(selection), as_json)
        else:
            report_selection(selection, as_json)


@app.command()
def predict(
    run: Run,
    *,
    input: Annotated[list[Path], typer.Option(help="A table, a folder of images, images, or an array.")],
    output: Annotated[Path, typer.Option(help="A new table: csv, tsv, parquet or jsonl.")],
    id: Annotated[str | None, typer.Option(help="The column that names the rows; by default they are counted.")] = None,
    batch_size: Annotated[int, typer.Option(help="Rows in one forward pass.")] = 1024,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Apply a run, or a selection by its id, to new rows: predictions and probabilities, with the rows' ids."""
    from holdfast.cli.predict import predict as predict_rows

    with ending(as_json=as_json):
        predict_rows(run, input, output, id_column=id, batch_size=batch_size, overwrite=overwrite, as_json=as_json)


@app.command(name="export")
def export_model(
    run: Run,
    form: Annotated[str, typer.Option("--format", help="onnx, torch_export or safetensors.")] = "onnx",
    output: Annotated[Path | None, typer.Option(help="The file; by default below RUN/export.")] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a run's model, preprocessing included, as one file; kept only if it gives the same predictions."""
    from holdfast.cli.export import export as export_run

    with ending(as_json=as_json):
        export_run(run, form, output, overwrite, as_json)


@data_app.command()
def inspect(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="As for train.py: data=csv data.path=FILE data.target=COLUMN ...")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The page; by default below outputs/inspect.")] = None,
    as_json: Json = False,
) -> None:
    """Prepare a data set as training would, and show classes, columns, missing values, examples and leak checks."""
    from holdfast.cli.data import inspect as inspect_data

    with ending(as_json=as_json):
        inspect_data(overrides or [], output, as_json)


@app.command(name="batch-size")
def batch_size(
    overrides: Annotated[list[str] | None, typer.Argument(help="As for train.py: model=cnn data=mnist ...")] = None,
    as_json: Json = False,
) -> None:
    """Try batches of 2, 4, 8, ... rows: which fit into memory, and how fast each trains."""
    from holdfast.cli.batch_size import find

    with ending(as_json=as_json):
        find(overrides or [], as_json)


@app.command()
def check(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="As for train.py: model=cnn ...; check=gradient chooses one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check an experiment before it is trained: gradients, common mistakes, and more; trains nothing."""
    from holdfast.cli.check import check as check_experiment

    with ending(as_json=as_json):
        check_experiment(overrides or [], as_json)


@schedule_app.command()
def preview(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="As for train.py: schedule=cosine lr=0.1 max_epochs=20 ...")
    ] = None,
    steps_per_epoch: Annotated[int, typer.Option(help="Optimizer steps of an epoch: train rows / batch_size.")] = 100,
    as_json: Json = False,
) -> None:
    """Draw a schedule as a table and a plot, without training."""
    from holdfast.cli.schedule import preview as preview_schedule

    with ending(as_json=as_json):
        preview_schedule(overrides or [], steps_per_epoch, as_json)


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
    """Entry point of the console script. A command line that Typer cannot read is an error like any other."""
    set_spin_count()
    with ending(as_json="--json" in sys.argv):
        try:
            sys.exit(app(standalone_mode=False))
        except UsageError as error:
            raise _explained(error) from None


def _explained(error: Any) -> InputError:
    message = error.format_message() or "needs a verb"  # after its help page
    command = error.ctx.command_path if error.ctx else "holdfast"
    return InputError(command, message[0].lower() + message[1:].rstrip("."), next=f"{command} --help")


if __name__ == "__main__":
    main()
