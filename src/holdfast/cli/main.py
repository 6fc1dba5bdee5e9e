"""The console script `holdfast`: its verbs, each a module. Exit codes and errors as in `holdfast.core.errors`.

A verb imports what it works with when it is called, so that `--help` and every other verb start at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from holdfast import __version__
from holdfast.cli import vault, vault_acts
from holdfast.cli.check import check
from holdfast.cli.data import inspect
from holdfast.cli.diff import diff
from holdfast.cli.export import export
from holdfast.cli.freeze import freeze
from holdfast.cli.open import open_selection, reopen
from holdfast.cli.predict import predict
from holdfast.cli.report import report
from holdfast.cli.reproduce import reproduce
from holdfast.cli.runs import runs
from holdfast.cli.schedule import preview
from holdfast.core.cores import set_spin_count
from holdfast.core.errors import InputError
from holdfast.core.exits import ending

Verbs = dict[str, Callable[..., Any]]
# What Typer raises for a command line that it cannot read; newer releases carry a copy of click of their own.
UsageError: type[Any] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    help="Experiments whose test rows stay locked: train, compare by val scores, freeze a choice, open the vault once.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


def _add_verbs(group: typer.Typer, verbs: Verbs) -> typer.Typer:
    for name, verb in verbs.items():
        group.command(name)(verb)
    return group


_add_verbs(
    app,
    {
        "runs": runs,
        "freeze": freeze,
        "open": open_selection,
        "reopen": reopen,
        "diff": diff,
        "reproduce": reproduce,
        "report": report,
        "predict": predict,
        "export": export,
        "check": check,
    },
)
VAULT_VERBS: Verbs = {
    "status": vault.status,
    "verify": vault.verify,
    "keygen": vault_acts.keygen,
    "withdraw": vault_acts.withdraw,
    "supersede": vault_acts.supersede,
    "destroy": vault_acts.destroy,
    "disclose": vault_acts.disclose,
    "anchor": vault_acts.anchor,
    "export": vault_acts.export,
    "import": vault_acts.import_,
}
GROUPS: tuple[tuple[str, str, Verbs], ...] = (
    ("vault", "What is sealed, what was opened, and whether the ledger is whole.", VAULT_VERBS),
    ("schedule", "Learning-rate schedules.", {"preview": preview}),
    ("data", "Data sets: what is in them, by train and val rows.", {"inspect": inspect}),
)
for group, words, verbs in GROUPS:
    app.add_typer(_add_verbs(typer.Typer(help=words, no_args_is_help=True), verbs), name=group)


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
