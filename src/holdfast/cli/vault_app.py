"""`holdfast vault ...`: one small function a verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.arguments import Json, KeyFile, Reason, Selection, Vault
from holdfast.core.exits import ending

vault_app = typer.Typer(help="What is sealed, what was opened, and whether the ledger is whole.", no_args_is_help=True)


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
