"""The ledger of a vault: one file per entry, hash-chained, added by compare-and-swap.

`ledger/00000017.json` is the canonical JSON of one entry; `prev` is the SHA-256 of the file before it (64 zeros in the
first), and the SHA-256 of the last file is the head. An entry is added by `os.link` of a fsynced temporary file, which
fails when the name is taken: on local disks and on NFS, without a lock and without a torn tail. Order is the chain;
what stands in an entry is documented in `vault.ledger.entries`.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import hashlib
import os
import re
import socket
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import holdfast
from holdfast.core.errors import VaultRefused
from holdfast.core.files import canonical_json, new_file, read_plain, sha256_hex, sync_folder
from holdfast.core.run_record import boot_id, now
from holdfast.vault.ledger.entries import MAX_ENTRY_BYTES, VERSION, Entry, parse_entry

FIRST_PREV = "0" * 64
NAME = re.compile(r"([0-9]{8})\.json")

__all__ = ["Entry", "LedgerMoved", "append", "code_sha256", "read", "read_entry"]


class LedgerMoved(VaultRefused):
    """Somebody else added an entry first."""


def append(
    ledger: Path,
    type: str,
    body: Mapping[str, Any],
    *,
    vault: str,
    selection: str | None = None,
    opening: int | None = None,
    bits: float = 0.0,
    expected_head: str | None = None,
) -> Entry:
    """Add one durable entry at the end.

    Args:
        ledger: The folder of entries.
        body: Must have a canonical JSON form.
        opening: Number of the opening, from 1.
        bits: What the entry tells about the test rows.
        expected_head: Add only while this is the head; "" for the first entry. None: add wherever the end is.

    Raises:
        LedgerMoved: The head is not the expected one.
        VaultRefused: The entry could not be made durable, or the last entry is damaged.
    """
    while True:
        indexes = _indexes(ledger)
        last = read_entry(ledger, indexes[-1]) if indexes else None
        if expected_head is not None and expected_head != (last.sha256 if last else ""):
            raise LedgerMoved(str(ledger), "another process added an entry first")
        entry = {
            "version": VERSION,
            "index": last.index + 1 if last else 0,
            "prev": last.sha256 if last else FIRST_PREV,
            "vault": vault,
            "type": type,
            **_witness(),
            "selection": selection,
            "opening": opening,
            "bits": float(bits),
            "total_bits": float(bits) + (last.fields["total_bits"] if last else 0.0),
            "body": dict(body),
        }
        content = canonical_json(entry)
        parse_entry(content)
        try:
            if _link_new(ledger, int(entry["index"]), content):
                return Entry(sha256_hex(content), entry)
        except OSError as error:
            problem = f"the entry {type} could not be written ({error.strerror})"
            raise VaultRefused(str(ledger), problem, next="free some space, then try again") from None


def read(ledger: Path) -> list[Entry]:
    """All entries, the chain checked.

    Raises:
        VaultRefused: An entry is missing, malformed, or does not follow from the one before it.
    """
    entries: list[Entry] = []
    for index in _indexes(ledger):
        entry = read_entry(ledger, index)
        prev = entries[-1].sha256 if entries else FIRST_PREV
        if entry.index != len(entries) or index != len(entries) or entry.fields["prev"] != prev:
            problem = f"the chain is broken at entry {len(entries)}"
            raise VaultRefused(str(ledger), problem, next="holdfast vault verify")
        entries.append(entry)
    return entries


def read_entry(ledger: Path, index: int) -> Entry:
    """One entry, its form checked.

    Raises:
        VaultRefused: It cannot be read or is malformed.
    """
    path = ledger / f"{index:08d}.json"
    try:
        content = read_plain(path, MAX_ENTRY_BYTES)
        return Entry(sha256_hex(content), parse_entry(content))
    except (OSError, ValueError, RecursionError) as error:
        raise VaultRefused(str(path), f"is no entry of a ledger: {error}", next="holdfast vault verify") from None


@functools.cache
def code_sha256() -> str:
    """One hash over the source of the holdfast that runs."""
    root = Path(holdfast.__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root).as_posix()}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _witness() -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return {
        "time": now(),
        "boot_id": boot_id(),
        "monotonic": time.monotonic(),
        "host": socket.gethostname(),
        "user": user,
        "pid": os.getpid(),
        "uuid": uuid.uuid4().hex,
        "framework": {"version": holdfast.__version__, "code_sha256": code_sha256()},
    }


def _indexes(ledger: Path) -> list[int]:
    try:
        names = os.listdir(ledger)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise VaultRefused(str(ledger), f"is no ledger: {error.strerror}", next="holdfast vault verify") from None
    return sorted(int(match[1]) for match in map(NAME.fullmatch, names) if match)


def _link_new(ledger: Path, index: int, content: bytes) -> bool:
    """Give a durable file its name in the chain; False when the name was taken by another file."""
    temporary, target = ledger / f".{uuid.uuid4().hex}.tmp", ledger / f"{index:08d}.json"
    try:
        with new_file(temporary) as file:
            file.write(content)
        try:
            os.link(temporary, target)
        except OSError:
            # NFS may answer "exists" to a repeated request that it has carried out: the inode tells.
            if not target.exists():
                raise
            if not os.path.samefile(temporary, target):
                return False
        sync_folder(ledger)
        return True
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
