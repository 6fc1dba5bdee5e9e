"""Acts on a vault: `holdfast vault keygen|withdraw|supersede|destroy|disclose|anchor|export|import`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.cli.arguments import Json, KeyFile, Reason, Selection, Vault
from holdfast.core.advice import setting
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import check_new_file, write_atomic


def keygen(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; FILE.pub is the public one.")],
    as_json: Json = False,
) -> None:
    """Make a pair of keys: who trains needs the public one, who opens the private one."""
    from holdfast.vault import registry
    from holdfast.vault.keys import keyring

    with registry.on_disk(file.parent, "the keys could not be written"):
        public = keyring.generate(file.absolute())
    lines = [
        f"private key  {file}   (who opens needs it: move it off this machine, and keep a copy)",
        f"public key   {public}",
        f"next         python train.py vault.key_mode=keyfile {setting('vault.public_key', public)}",
    ]
    _tell(as_json, {"private": str(file.absolute()), "public": str(public)}, *lines)


def withdraw(selection: Selection, reason: Reason, as_json: Json = False) -> None:
    """Take back a selection that was not opened."""
    from filelock import FileLock

    from holdfast.evaluation.selections import find_selection
    from holdfast.vault import policies, registry
    from holdfast.vault.manifest import folder_of

    policies.check_reason(reason)
    vault, full = find_selection(selection)
    with FileLock(folder_of(vault) / ".opening.lock"):
        history = policies.History.of(registry.read_ledger(vault))
        if full in history.opened or full in history.withdrawn:
            state = "opened" if full in history.opened else "withdrawn"
            raise VaultRefused(f"selection {full[:8]}", f"was {state} already")
        entry = registry.append(vault, "withdraw", {"reason": reason}, selection=full)
    _tell(as_json, {"selection": full, "vault": vault, "head": entry.sha256}, f"withdrawn  {full}")


def supersede(vault: Vault, reason: Reason, as_json: Json = False) -> None:
    """Put a vault out of force, so that its rows can be sealed anew; the new vault names it for ever."""
    _end(vault, "supersede", reason, as_json)


def destroy(vault: Vault, reason: Reason, as_json: Json = False) -> None:
    """Shred a vault's keys and sealed rows; its ledger stays."""
    _end(vault, "destroy", reason, as_json)


def _end(vault: str, how: str, reason: str, as_json: bool) -> None:
    from holdfast.vault import lifecycle, registry

    full = find_vault(vault)
    entry = lifecycle.end(full, how, reason)
    status = registry.ENDS[how]
    lines = [f"{status}  vault {full}: keys and sealed rows are gone, its ledger stays"]
    if how == "supersede":
        lines.append("next   train again: the rows are sealed anew, and the new vault names this one for ever")
    _tell(as_json, {"vault": full, "status": status, "head": entry.sha256}, *lines)


def disclose(
    selection: Selection,
    reason: Reason,
    out: Annotated[Path, typer.Option(help="A new file, JSON.")],
    key: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Write per-class results and outcomes of single rows of an opened selection; the ledger counts the bits."""
    from holdfast.evaluation.opening.final import disclose as disclose_selection
    from holdfast.vault import registry

    check_new_file(out, "--out", overwrite=None)  # the ledger counts what is disclosed, written or not
    disclosure = disclose_selection(selection, reason=reason, key_file=key)
    with registry.on_disk(out, "it is in the ledger, and could not be written; disclose it again"):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, json.dumps(disclosure, indent=1))
    answer = {"selection": disclosure["selection"], "head": disclosure["head"], "file": str(out)}
    _tell(as_json, answer, f"disclosed  {out}   (the test rows are no longer fresh for what is built on it)")


def anchor(
    vault: Annotated[str | None, typer.Argument(help="Without one: every vault that is in force.")] = None,
    repo: Annotated[Path, typer.Option(help="A folder in a git repository.")] = Path("."),
    as_json: Json = False,
) -> None:
    """Commit the heads of ledgers to git, where others can see them."""
    from holdfast.vault import project_lock, registry

    chosen = [find_vault(vault)] if vault else [record["vault"] for record in registry.in_force()]
    commits = {vault_id: project_lock.anchor(vault_id, repo.absolute()) for vault_id in chosen}
    lines = [f"anchored  vault {vault[:8]} in commit {commit[:12]} of {repo}" for vault, commit in commits.items()]
    _tell(as_json, {"commits": commits}, *lines, "next      git push   (where others can see it)")


def export(
    vault: Vault,
    file: Annotated[Path, typer.Argument(help="A new tar file.")],
    with_keys: Annotated[bool, typer.Option("--with-keys", help="The keys of mode local go along.")] = False,
    as_json: Json = False,
) -> None:
    """Write a vault into a file, to move it to another HOLDFAST_HOME."""
    from holdfast.vault.archive import export_vault

    full = find_vault(vault)
    export_vault(full, file, with_keys=with_keys)
    keys = "its keys are in the file: guard it" if with_keys else "without its keys of mode local"
    _tell(as_json, {"vault": full, "file": str(file)}, f"exported  {file}   ({keys})")


def import_(file: Annotated[Path, typer.Argument(help="What `export` wrote.")], as_json: Json = False) -> None:
    """Read a vault from a file."""
    from holdfast.vault.archive import import_vault

    full = import_vault(file)
    _tell(as_json, {"vault": full}, f"imported  vault {full}", "next      holdfast vault verify")


def find_vault(prefix: str) -> str:
    """The one vault whose id starts with `prefix`.

    Raises:
        InputError: There is none, or several, or the prefix is too short.
    """
    from holdfast.vault import registry

    matches = [record["vault"] for record in registry.records() if record["vault"].startswith(prefix)]
    if len(prefix) < 8 or not matches:
        raise InputError("vault", f"{prefix!r} is not known", "8 to 32 hex digits", "holdfast vault status")
    if len(matches) > 1:
        raise InputError("vault", f"{prefix} fits {len(matches)} vaults", allowed=", ".join(matches))
    return str(matches[0])


def _tell(as_json: bool, answer: dict[str, Any], *lines: str) -> None:
    print(json.dumps(answer) if as_json else "\n".join(lines))
