"""The registry: which vaults there are, apart from the vaults themselves, so that rows are known when one is gone.

    registry/<vault>.json           {"version", "vault", "head": {"index", "sha256"}}: the ledger head last seen
    registry/<vault>.manifest       a copy of the manifest, which the ledger commits to
    registry/<vault>.fingerprints   copies of what its rows are known by: as they are, with their targets, by cells
    registry/<vault>.targets
    registry/<vault>.cells

Nothing here says which vaults are in force: that follows from the ledgers. Who changes the registry holds its lock.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from holdfast.core import places
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import canonical_json, read_plain, write_atomic
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of, parse_manifest

LOCK_TIMEOUT_S = 600
MAX_RECORD_BYTES = 2**16
VERSION = 4
COPIED = {
    "manifest": "manifest.json",
    "fingerprints": "fingerprints.bin",
    "targets": "targets.bin",
    "cells": "cells.bin",
}
SEALED, REPLACED, SUPERSEDED, DESTROYED = "sealed", "replaced", "superseded", "destroyed"
MAX_REFUSALS, MAX_REFUSALS_IN_AN_HOUR = 1000, 60  # who asks again and again must not fill the disk
HOUR_S = 3600.0
ENDS = {"supersede": SUPERSEDED, "destroy": DESTROYED}


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
    """Turn a disk that is full, broken or not writable into a refusal that says what could not be done."""
    try:
        yield
    except OSError as error:
        hint = "free some space or mend the disk, then try again"
        reason = error.strerror or type(error).__name__
        raise VaultRefused(str(where), f"{failure} ({reason})", next=hint) from None


def records() -> list[dict[str, Any]]:
    """Every vault that was ever sealed here, oldest first, as `record_of` has it."""
    entries = [record_of(path.stem) for path in places.registry().glob("*.json")]
    return sorted(entries, key=lambda record: (str(record["created"]), str(record["vault"])))


def record_of(vault: str) -> dict[str, Any]:
    """The manifest of a vault with its "status" and "replaced_by", which follow from its ledger.

    "status" is "sealed" while the vault is in force; "replaced" where its rows were sealed anew before the first
    freeze, in the vault "replaced_by"; else "superseded" or "destroyed". A vault whose ledger cannot be read, or whose
    folder is gone, stays in force: its rows are known, and nobody can open it.

    Raises:
        InputError: No such vault was sealed here.
        VaultRefused: The registry cannot be read, or its copy of the manifest is another one than the ledger has.
    """
    if vault.startswith("none-"):
        problem = "no test rows were set aside: the run was trained with vault=none"
        raise VaultRefused("vault", problem, next="train it with vault=once to have a test score")
    if not _head_file(vault).exists():
        raise InputError(vault, f"is no vault of {places.home()}", next="holdfast vault status")
    fields, sha256 = parse_manifest(copy_of(vault, "manifest"))
    entries = _entries_or_none(vault)
    if entries and entries[0].body.get("manifest") != sha256:
        problem = "is not the manifest that the ledger of its vault commits to"
        raise VaultRefused(str(copy_of(vault, "manifest")), problem, next="holdfast vault verify")
    status, successor = status_of(entries)
    return fields | {"status": status, "replaced_by": successor}


def status_of(entries: Sequence[ledger.Entry]) -> tuple[str, str | None]:
    """The status of a vault by its ledger, and the vault that has taken its place."""
    was_frozen = False
    for entry in entries:
        was_frozen |= entry.type == "freeze"
        if entry.type in ENDS:
            successor = None if was_frozen else entry.body.get("by")
            return (REPLACED, str(successor)) if successor else (ENDS[entry.type], None)
    return SEALED, None


def in_force() -> list[dict[str, Any]]:
    """The records of all vaults in force, oldest first."""
    return [record for record in records() if record["status"] == SEALED]


def is_current(vault: str) -> bool:
    """Tell whether a vault is known here and in force."""
    return _head_file(vault).exists() and record_of(vault)["status"] == SEALED


def copy_of(vault: str, name: str) -> Path:
    """The registry's copy of one of a vault's `COPIED` files."""
    return places.registry() / f"{vault}.{name}"


def head_of(vault: str) -> dict[str, Any]:
    """The ledger head last seen, {"index", "sha256"}."""
    if not _head_file(vault).exists():
        raise InputError(vault, f"is no vault of {places.home()}", next="holdfast vault status")
    return read_head(_head_file(vault))


def write_head(vault: str, entry: ledger.Entry) -> None:
    """Store the head of a vault's ledger, atomically."""
    head = {"index": entry.index, "sha256": entry.sha256}
    write_atomic(_head_file(vault), canonical_json({"version": VERSION, "vault": vault, "head": head}))


def remember_head(vault: str, entry: ledger.Entry) -> None:
    """Note the newest ledger head; a newer one that is noted already stays."""
    with (
        on_disk(places.registry(), f"entry {entry.index} is in the ledger, its head could not be noted"),
        FileLock(places.registry() / ".heads.lock", timeout=LOCK_TIMEOUT_S),
    ):
        if head_of(vault)["index"] < entry.index:
            write_head(vault, entry)


def read_ledger(vault: str) -> list[ledger.Entry]:
    """The whole ledger of a vault, checked against the head that is remembered.

    Raises:
        VaultRefused: It is broken, or is not the one last seen: an old copy, a fork, or cut.
    """
    entries = ledger.read(folder_of(vault) / "ledger")
    for _, where, problem in ledger.head_problems(entries, head_of(vault), "seen last"):
        raise VaultRefused(f"vault {vault[:8]}", f"{where} of its ledger {problem}", next="holdfast vault verify")
    return entries


def append(vault: str, type: str, body: dict[str, Any], **options: Any) -> ledger.Entry:
    """Add an entry to a vault's ledger and remember the new head; options as of `ledger.append`."""
    entry = ledger.append(folder_of(vault) / "ledger", type, body, vault=vault, **options)
    remember_head(vault, entry)
    return entry


def note_refusal(vault: str, body: Mapping[str, Any], *, selection: str | None = None) -> None:
    """Add `refused` to a vault's ledger, unless enough of them stand there.

    The same refusal, of the same selection for the same reason, is noted once an hour; all together at most 60 in an
    hour and 1,000 ever.
    """
    entries = [entry for entry in read_ledger(vault) if entry.type == "refused"]
    if _is_due(entries, body, selection, time.time()):
        append(vault, "refused", dict(body), selection=selection)


def read_head(path: Path) -> dict[str, Any]:
    """The head in a file of the registry, of this HOLDFAST_HOME or of a copy; refused where there is none in it."""
    try:
        fields = json.loads(read_plain(path, MAX_RECORD_BYTES))
        head: dict[str, Any] = fields["head"]
        if fields["version"] != VERSION or head["index"] < 0 or not isinstance(head["sha256"], str):
            raise ValueError(f"has version {fields['version']!r}")
        return head
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "is it the home of another version of Holdfast? set HOLDFAST_HOME to a folder of its own"
        raise VaultRefused(str(path), f"the registry cannot be read ({error})", next=hint) from None


def _head_file(vault: str) -> Path:
    return places.registry() / f"{vault}.json"


def _entries_or_none(vault: str) -> list[ledger.Entry]:
    """The entries of a vault's ledger; none where it cannot be read, which `verify` tells: other vaults go on."""
    try:
        return ledger.read(folder_of(vault) / "ledger")
    except VaultRefused:
        return []


def _is_due(entries: Sequence[ledger.Entry], body: Mapping[str, Any], selection: str | None, now: float) -> bool:
    # A clock that was set back makes an entry newer, never older.
    recent = [entry for entry in entries if now - _seconds(entry) < HOUR_S]
    is_known = any(entry.selection == selection and entry.body.get("reason") == body["reason"] for entry in recent)
    return not is_known and len(recent) < MAX_REFUSALS_IN_AN_HOUR and len(entries) < MAX_REFUSALS


def _seconds(entry: ledger.Entry) -> float:
    try:
        return datetime.fromisoformat(str(entry.fields["time"])).astimezone(UTC).timestamp()
    except ValueError:
        return 0.0
