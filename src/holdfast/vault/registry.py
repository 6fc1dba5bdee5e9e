"""The registry: which rows are in which vault, and the ledger heads last seen, kept apart from the vaults themselves.

    registry/<vault>.json           {"version", "vault", "name", "status", "kind", "task", "class_names", "content",
                                     "columns", "sketch", "test_rule", "policy", "public_key", "first_time",
                                     "num_test", "sealed", "replaces", "replaced_by", "shares", "lineage",
                                     "fingerprint_check", "head": {"index", "sha256"}}
    registry/<vault>.fingerprints   the vault's fingerprints, so that its rows are known even when its folder is gone
    registry/<vault>.targets        those of the rows with their targets
    registry/<vault>.cells          hashes of the cells of a table (`vault.rows.cell_hashes`)

`status` is "sealed", "replaced" (sealed anew before its first freeze), "burnt" (superseded after one) or "destroyed".
Who changes the registry holds its lock.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from holdfast.core import places
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import canonical_json, read_plain, write_atomic
from holdfast.vault import ledger_check
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of

LOCK_TIMEOUT_S = 600
MAX_RECORD_BYTES = 2**24
VERSION = 3
COPIED = ("fingerprints", "targets", "cells")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the registry: sealing, freezing and the first step of opening come one after the other."""
    places.registry().mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(places.registry() / ".lock", timeout=LOCK_TIMEOUT_S):
            yield
    except Timeout:
        raise VaultRefused(str(places.registry()), f"another process has held it for {LOCK_TIMEOUT_S} s") from None


@contextlib.contextmanager
def on_disk(where: Path, failure: str) -> Iterator[None]:
    """Turn a disk that is full, broken or not writable into a refusal that says so.

    Args:
        failure: In words, as in "the test rows could not be sealed".
    """
    try:
        yield
    except OSError as error:
        hint = "free some space or mend the disk, then try again"
        reason = error.strerror or type(error).__name__
        raise VaultRefused(str(where), f"{failure} ({reason})", next=hint) from None


def records() -> list[dict[str, Any]]:
    """Every vault that was ever sealed here, oldest first."""
    entries = [read_record(path) for path in places.registry().glob("*.json")]
    return sorted(entries, key=lambda record: (str(record["sealed"]), str(record["vault"])))


def record_of(vault: str) -> dict[str, Any]:
    """The record of one vault.

    Raises:
        InputError: No such vault was sealed here.
    """
    if vault.startswith("none-"):
        problem = "no test rows were set aside: the run was trained with vault=none"
        raise VaultRefused("vault", problem, next="train it with vault=once to have a test score")
    path = places.registry() / f"{vault}.json"
    if not path.exists():
        raise InputError(vault, f"is no vault of {places.home()}", next="holdfast vault status")
    return read_record(path)


def in_force() -> list[dict[str, Any]]:
    """The records of all vaults in force: known here and not replaced."""
    return [record for record in records() if record["status"] == "sealed"]


def is_current(vault: str) -> bool:
    """Tell whether a vault is the one in force for its rows."""
    return any(record["vault"] == vault for record in in_force())


def write_record(record: dict[str, Any]) -> None:
    """Store a vault's record, atomically."""
    content = canonical_json(record | {"version": VERSION})
    write_atomic(places.registry() / f"{record['vault']}.json", content)


def copy_of(vault: str, name: str) -> Path:
    """The registry's copy of one of a vault's `COPIED` files."""
    return places.registry() / f"{vault}.{name}"


def remember_head(vault: str, entry: ledger.Entry) -> None:
    """Note the newest ledger head; a newer one that is noted already stays."""
    with (
        on_disk(places.registry(), f"entry {entry.index} is in the ledger, its head could not be noted"),
        FileLock(places.registry() / ".heads.lock", timeout=LOCK_TIMEOUT_S),
    ):
        record = record_of(vault)
        if record["head"]["index"] < entry.index:
            write_record(record | {"head": {"index": entry.index, "sha256": entry.sha256}})


def read_ledger(vault: str) -> list[ledger.Entry]:
    """The whole ledger of a vault, checked against the head that is remembered.

    Raises:
        VaultRefused: It is broken, or is not the one last seen: an old copy, a fork, or cut.
    """
    entries = ledger.read(folder_of(vault) / "ledger")
    head = record_of(vault)["head"]
    for _, where, problem in ledger_check.head_problems(entries, head, "seen last"):
        raise VaultRefused(f"vault {vault[:8]}", f"{where} of its ledger {problem}", next="holdfast vault verify")
    return entries


def append(vault: str, type: str, body: dict[str, Any], **options: Any) -> ledger.Entry:
    """Add an entry to a vault's ledger and remember the new head; options as of `ledger.append`."""
    entry = ledger.append(folder_of(vault) / "ledger", type, body, vault=vault, **options)
    remember_head(vault, entry)
    return entry


def read_record(path: Path) -> dict[str, Any]:
    """The record in a file, of this HOLDFAST_HOME or of a copy.

    Raises:
        VaultRefused: It is none.
    """
    try:
        fields: dict[str, Any] = json.loads(read_plain(path, MAX_RECORD_BYTES))
        if fields["version"] != VERSION or fields["head"]["index"] < 0:
            raise ValueError(f"has version {fields['version']!r}")
        return fields
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "is it the home of another version of Holdfast? set HOLDFAST_HOME to a folder of its own"
        raise VaultRefused(str(path), f"the registry cannot be read ({error})", next=hint) from None
