"""Acts on a vault: `holdfast vault keygen|withdraw|supersede|destroy|disclose|anchor|export|import`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from filelock import FileLock

from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import write_atomic
from holdfast.evaluation.opening.disclosing import disclose as disclose_selection
from holdfast.evaluation.selections import find_selection
from holdfast.vault import archive as transfers
from holdfast.vault import lifecycle, policies, project_lock, registry
from holdfast.vault.keys import keyring
from holdfast.vault.manifest import folder_of


def keygen(path: Path, as_json: bool) -> int:
    """Make a pair of keys for `vault.key_mode=keyfile`."""
    with registry.on_disk(path.parent, "the keys could not be written"):
        public = keyring.generate(path.absolute())
    lines = [
        f"private key  {path}   (who opens needs it: move it off this machine, and keep a copy)",
        f"public key   {public}",
        f"next         python train.py vault.key_mode=keyfile vault.public_key={public}",
    ]
    return _tell(as_json, {"private": str(path.absolute()), "public": str(public)}, *lines)


def withdraw(selection: str, reason: str, as_json: bool) -> int:
    """Take back a selection that was frozen and not opened.

    Raises:
        InputError: No such selection, or no reason.
        VaultRefused: It was opened, or withdrawn before.
    """
    if not reason.strip():
        raise InputError("--reason", "is empty", next="say in a sentence why; it stays in the ledger")
    vault, full = find_selection(selection)
    with FileLock(folder_of(vault) / ".opening.lock"):
        history = policies.History.of(registry.read_ledger(vault))
        if full in history.opened or full in history.withdrawn:
            state = "opened" if full in history.opened else "withdrawn"
            raise VaultRefused(f"selection {full[:8]}", f"was {state} already")
        entry = registry.append(vault, "withdraw", {"reason": reason}, selection=full)
    return _tell(as_json, {"selection": full, "vault": vault, "head": entry.sha256}, f"withdrawn  {full}")


def end(vault: str, how: str, reason: str, as_json: bool) -> int:
    """Supersede or destroy a vault: its rows can never be read again, its ledger stays.

    Args:
        vault: Eight or more digits of its id.
        how: "supersede" or "destroy".
        reason: Kept in the ledger.
        as_json: Answer for a script.
    """
    full = find_vault(vault)
    entry = lifecycle.end(full, how, reason)
    status = registry.ENDS[how]
    lines = [f"{status}  vault {full}: keys and sealed rows are gone, its ledger stays"]
    if how == "supersede":
        lines.append("next   train again: the rows are sealed anew, and the new vault names this one for ever")
    return _tell(as_json, {"vault": full, "status": status, "head": entry.sha256}, *lines)


def disclose(selection: str, reason: str, path: Path, key: Path | None, as_json: bool) -> int:
    """Write per-class results and outcomes of single rows into a file; the ledger counts the bits.

    Raises:
        InputError: The file exists, or there is no such selection.
        VaultRefused: The selection was not opened in full.
    """
    if path.exists():
        raise InputError(str(path), "exists already", next="choose another file")
    disclosure = disclose_selection(selection, reason=reason, key_file=key)
    with registry.on_disk(path, "it is in the ledger, and could not be written; disclose it again"):
        write_atomic(path, json.dumps(disclosure, indent=1))
    answer = {"selection": disclosure["selection"], "head": disclosure["head"], "file": str(path)}
    return _tell(as_json, answer, f"disclosed  {path}   (the test rows are no longer fresh for what is built on it)")


def anchor(vault: str | None, repo: Path, as_json: bool) -> int:
    """Commit the head of one ledger, or of all that are in force, to git."""
    chosen = [find_vault(vault)] if vault else [record["vault"] for record in registry.in_force()]
    commits = {vault_id: project_lock.anchor(vault_id, repo.absolute()) for vault_id in chosen}
    lines = [
        f"anchored  vault {vault_id[:8]} in commit {commit[:12]} of {repo}" for vault_id, commit in commits.items()
    ]
    return _tell(as_json, {"commits": commits}, *lines, "next      git push   (where others can see it)")


def export(vault: str, path: Path, with_keys: bool, as_json: bool) -> int:
    """Write a vault into a tar file."""
    full = find_vault(vault)
    transfers.export_vault(full, path, with_keys=with_keys)
    keys = "its keys are in the file: guard it" if with_keys else "without its keys of mode local"
    return _tell(as_json, {"vault": full, "file": str(path)}, f"exported  {path}   ({keys})")


def import_(path: Path, as_json: bool) -> int:
    """Read a vault from a tar file."""
    full = transfers.import_vault(path)
    return _tell(as_json, {"vault": full}, f"imported  vault {full}", "next      holdfast vault verify")


def find_vault(prefix: str) -> str:
    """The one vault whose id starts with `prefix`.

    Raises:
        InputError: There is none, or several, or the prefix is too short.
    """
    matches = [record["vault"] for record in registry.records() if record["vault"].startswith(prefix)]
    if len(prefix) < 8 or not matches:
        raise InputError(
            "vault", f"{prefix!r} is not known", allowed="8 to 32 hex digits", next="holdfast vault status"
        )
    if len(matches) > 1:
        raise InputError("vault", f"{prefix} fits {len(matches)} vaults", allowed=", ".join(matches))
    return str(matches[0])


def _tell(as_json: bool, answer: dict[str, Any], *lines: str) -> int:
    print(json.dumps(answer) if as_json else "\n".join(lines))
    return 0
