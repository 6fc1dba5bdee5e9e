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
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
vault_app = typer.Typer(help="What is sealed, what was opened, and whether the ledger is whole.", no_args_is_help=True)
app.add_typer(vault_app, name="vault")
schedule_app = typer.Typer(help="Learning-rate schedules.", no_args_is_help=True)
app.add_typer(schedule_app, name="schedule")

data_app = typer.Typer(help="Data sets: what is in them, by train and val rows.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Selection = Annotated[str, typer.Argument(help="A selection's id, or eight or more of its first digits.")]
Vault = Annotated[str, typer.Argument(help="A vault's id, or eight or more of its first digits.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence: it stays in the ledger.")]
KeyFile = Annotated[Path | None, typer.Option(help="The private key, where a vault was sealed for one.")]
Run = Annotated[Path, typer.Argument(help="The folder of a run or of an ensemble.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")]
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

    from holdfast.reporting.leaderboard import leaderboard, print_table, repeats_below

    with ending(as_json=as_json):
        rows, repeats = leaderboard(path), repeats_below(path)
        if as_json:
            answer = {"runs": [asdict(row) for row in rows], "repeats": [asdict(found) for found in repeats]}
            print(json.dumps(answer))
        else:
            print_table(rows, Console(width=None if sys.stdout.isatty() else 200), repeats)


@app.command()
def freeze(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of completed runs or ensembles; the first is the one chosen.")
    ],
    criterion: Annotated[
        str | None, typer.Option(help='What must hold on the test rows, such as "accuracy > 0.94".')
    ] = None,
    intervals: Annotated[
        str, typer.Option(help="Of proportions such as accuracy: wilson, or clopper-pearson (exact, wider).")
    ] = "wilson",
    as_json: Json = False,
) -> None:
    """Choose for the final evaluation: copies the files of one run, or of several to compare, into a selection."""
    from holdfast.cli.freeze import freeze as freeze_runs

    with ending(as_json=as_json):
        freeze_runs(runs, as_json, criterion, intervals)


@app.command(name="open")
def open_(
    selections: Annotated[
        list[str],
        typer.Argument(help="Ids, or eight or more of their first digits.", metavar="SELECTION"),
    ],
    reason: Annotated[str | None, typer.Option(help="Opens a vault again: one metric, not a clean test.")] = None,
    key: KeyFile = None,
    as_json: Json = False,
) -> None:
    """The final stage: evaluate a frozen selection on the sealed test rows, once.

    Under the policy batch (vault=batch vault.k=K) up to K models are frozen first, in one selection or several, and
    opened: name all selections at once to have their models compared too. Each interval is at alpha / K, and the p
    values of all comparisons are corrected by Holm.
    """
    from holdfast.cli.open import open_selections

    with ending(as_json=as_json):
        open_selections(selections, as_json, reason, key)


@app.command()
def reopen(selection: Selection, reason: Reason, key: KeyFile = None, as_json: Json = False) -> None:
    """Open a vault that was opened, at the level of the primary metric: not a clean test."""
    from holdfast.cli.open import open_selections

    with ending(as_json=as_json):
        open_selections([selection], as_json, reason, key)


@app.command()
def report(
    selection: Annotated[str, typer.Argument(help="The folder of a run, or a selection's id.")], as_json: Json = False
) -> None:
    """Write the report of a run into its folder, or that of a selection beside it; nothing is decrypted."""
    if Path(selection).is_dir():
        from holdfast.cli.run_report import report_run

        with ending(as_json=as_json):
            report_run(Path(selection), as_json)
        return
    from holdfast.cli.report import report as write_report

    with ending(as_json=as_json):
        write_report(selection, as_json)


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
    """Apply a run to new rows: predictions and probabilities, with the ids of the rows."""
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


@vault_app.command()
def status(as_json: Json = False) -> None:
    """What is sealed, what is frozen, what was opened."""
    from holdfast.cli.vault import status as vault_status

    with ending(as_json=as_json):
        vault_status(as_json)


@vault_app.command()
def verify(
    path: Annotated[Path | None, typer.Argument(help="A copy of a HOLDFAST_HOME or of a vault.")] = None,
    against: Annotated[Path | None, typer.Option(help="Another copy: where do the two part?")] = None,
    head: Annotated[list[str] | None, typer.Option(help="A head that must stand in a ledger.")] = None,
    as_json: Json = False,
) -> None:
    """Check every ledger, file and head, without a key; exit code 3 when something is found."""
    from holdfast.cli.vault import verify as vault_verify

    with ending(as_json=as_json):
        code = vault_verify(as_json, path, against, head or ())
    raise typer.Exit(code)


@vault_app.command()
def keygen(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; FILE.pub is the public one.")],
    as_json: Json = False,
) -> None:
    """Make a pair of keys: who trains needs the public one, who opens the private one."""
    from holdfast.cli.vault_acts import keygen as make_keys

    with ending(as_json=as_json):
        make_keys(file, as_json)


@vault_app.command()
def withdraw(selection: Selection, reason: Reason, as_json: Json = False) -> None:
    """Take back a selection that was not opened."""
    from holdfast.cli.vault_acts import withdraw as withdraw_selection

    with ending(as_json=as_json):
        withdraw_selection(selection, reason, as_json)


@vault_app.command()
def supersede(vault: Vault, reason: Reason, as_json: Json = False) -> None:
    """Put a vault out of force, so that its rows can be sealed anew; the new vault names it for ever."""
    from holdfast.cli.vault_acts import end

    with ending(as_json=as_json):
        end(vault, "supersede", reason, as_json)


@vault_app.command()
def destroy(vault: Vault, reason: Reason, as_json: Json = False) -> None:
    """Shred a vault's keys and sealed rows; its ledger stays."""
    from holdfast.cli.vault_acts import end

    with ending(as_json=as_json):
        end(vault, "destroy", reason, as_json)


@vault_app.command()
def disclose(
    selection: Selection,
    reason: Reason,
    out: Annotated[Path, typer.Option(help="A new file, JSON.")],
    key: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Write per-class results and outcomes of single rows of an opened selection; the ledger counts the bits."""
    from holdfast.cli.vault_acts import disclose as disclose_rows

    with ending(as_json=as_json):
        disclose_rows(selection, reason, out, key, as_json)


@vault_app.command()
def anchor(
    vault: Annotated[str | None, typer.Argument(help="Without one: every vault that is in force.")] = None,
    repo: Annotated[Path, typer.Option(help="A folder in a git repository.")] = Path("."),
    as_json: Json = False,
) -> None:
    """Commit the heads of ledgers to git, where others can see them."""
    from holdfast.cli.vault_acts import anchor as anchor_heads

    with ending(as_json=as_json):
        anchor_heads(vault, repo, as_json)


@vault_app.command()
def export(
    vault: Vault,
    file: Annotated[Path, typer.Argument(help="A new tar file.")],
    with_keys: Annotated[bool, typer.Option("--with-keys", help="The keys of mode local go along.")] = False,
    as_json: Json = False,
) -> None:
    """Write a vault into a file, to move it to another HOLDFAST_HOME."""
    from holdfast.cli.vault_acts import export as export_vault

    with ending(as_json=as_json):
        export_vault(vault, file, with_keys, as_json)


@vault_app.command(name="import")
def import_(file: Annotated[Path, typer.Argument(help="What `export` wrote.")], as_json: Json = False) -> None:
    """Read a vault from a file."""
    from holdfast.cli.vault_acts import import_ as import_vault

    with ending(as_json=as_json):
        import_vault(file, as_json)


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
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
