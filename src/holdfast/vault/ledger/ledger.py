"""The ledger of a vault: one file per entry, hash-chained, added by compare-and-swap.

`ledger/00000017.json` is the canonical JSON of one entry, at most 1 MiB; the SHA-256 of the last file is the head. An
entry is added by `os.link` of a fsynced temporary file, which fails when the name is taken: on local disks and on NFS,
without a lock and without a torn tail. Order is the chain.

    version, index, vault, type               1; from 0; the vault's id; one of `TYPES`
    prev                                      the SHA-256 of the file before it; 64 zeros in the first
    time, boot_id, monotonic, host, user, pid, uuid     who wrote it and when; informative
    framework                                 {"version", "code_sha256"} of the holdfast that wrote it
    selection, opening                        what is frozen or opened, and the opening's number; else null
    bits, total_bits                          what this entry tells about the test rows, and all up to it
    body                                      an object, by type
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import hashlib
import json
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import holdfast
from holdfast.core.errors import HoldfastError, VaultRefused
from holdfast.core.files import canonical_json, new_file, read_plain, sha256_hex, sync_folder
from holdfast.core.run_record import boot_id, now

VERSION = 1
TYPES = (
    *("seal", "freeze", "withdraw", "open.intent", "open.predicted", "open.result", "open.mismatch"),
    *("disclose", "refused", "supersede", "destroy", "anchor", "verify"),
)
MAX_ENTRY_BYTES = 2**20
HEX64 = re.compile(r"[0-9a-f]{64}")
FIRST_PREV = "0" * 64
NAME = re.compile(r"([0-9]{8})\.json")
MAX_MISSING = 20

Found = tuple[str, str, str]  # a problem: kind, where, what


@dataclass(frozen=True)
class Entry:
    """One entry as it lies in its file; `sha256` is the head when it is the last."""

    sha256: str
    fields: Mapping[str, Any]

    @property
    def index(self) -> int:
        """Its place in the chain, from 0."""
        return int(self.fields["index"])

    @property
    def type(self) -> str:
        """One of `TYPES`."""
        return str(self.fields["type"])

    @property
    def selection(self) -> str | None:
        """The selection it is about, if any."""
        return self.fields["selection"]  # type: ignore[no-any-return]

    @property
    def body(self) -> Mapping[str, Any]:
        """The fields that belong to the type of the entry."""
        return self.fields["body"]  # type: ignore[no-any-return]


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

    With an `expected_head`, "" for the first entry, only while this is the head; None: wherever the end is.

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
    """The entries of a ledger, the chain checked.

    Raises:
        VaultRefused: An entry is missing, malformed, or does not follow from the one before it.
    """
    entries, problems = scan(ledger)
    for _, where, problem in problems:
        raise VaultRefused(str(ledger), f"{where} {problem}", next="holdfast vault verify")
    return entries


def scan(folder: Path, vault: str | None = None) -> tuple[list[Entry], list[Found]]:
    """All entries that can be read, and what is wrong with the chain; it must be that of `vault` where one is given."""
    problems: list[Found] = []
    entries: list[Entry] = []
    indexes = _indexes(folder)
    if not indexes:
        problems.append(("ledger", str(folder), "there is no ledger"))
    missing = sorted(set(range(max(indexes, default=-1) + 1)) - set(indexes))
    problems += [("ledger", f"entry {index}", "is missing") for index in missing[:MAX_MISSING]]
    before: Entry | None = None
    for index in indexes:
        try:
            entry = read_entry(folder, index)
        except HoldfastError as error:
            problems.append(("ledger", f"entry {index}", error.problems[0].what))
            before = None
            continue
        problems += [("ledger", f"entry {index}", problem) for problem in _link_problems(entry, index, before, vault)]
        entries.append(entry)
        before = entry
    return entries, problems


def head_problems(entries: Sequence[Entry], head: Mapping[str, Any], witness: str) -> Iterator[Found]:
    """Report a head that somebody has noted and that does not stand in the ledger.

    `witness` is who noted it, as in "seen last".
    """
    index, sha256 = head["index"], head["sha256"]
    by_index = {entry.index: entry for entry in entries}
    if index not in by_index:
        yield "head", f"entry {index}", f"was the head {witness} ({sha256[:12]}), and is gone: cut, or an old copy"
    elif by_index[index].sha256 != sha256:
        yield "head", f"entry {index}", f"is not the head {witness} ({sha256[:12]}): rewritten, or forked"


def read_entry(ledger: Path, index: int) -> Entry:
    """One entry, refused where it cannot be read or is malformed."""
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
    except OSError:
        return []
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


# --- the form of an entry ----------------------------------------------------------------------------------------


def parse_entry(content: bytes) -> dict[str, Any]:
    """The fields of an entry in canonical form; a ValueError has what is wrong with it in one sentence."""
    if len(content) > MAX_ENTRY_BYTES:
        raise ValueError(f"is larger than {MAX_ENTRY_BYTES} bytes")
    fields = json.loads(content.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    if not isinstance(fields, dict):
        raise ValueError("is no JSON object")
    if fields.get("version") != VERSION or fields["version"] is True:
        raise ValueError(f"has version {fields.get('version')!r}, known is {VERSION}")
    if fields.get("type") not in TYPES:
        raise ValueError(f"has the unknown type {fields.get('type')!r}"[:200])
    if set(fields) != CHECKS.keys():
        raise ValueError(f"its fields are not the known ones: {sorted(CHECKS.keys() ^ set(fields))}"[:300])
    wrong = [name for name, is_right in CHECKS.items() if not is_right(fields[name])]
    if wrong:
        raise ValueError(f"has a wrong value in {', '.join(wrong)}")
    if canonical_json(fields) != content:
        raise ValueError("is not in canonical form")
    return fields


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("names a field twice")
    return fields


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"holds {name}")


def _is_hex64(value: Any) -> bool:
    return isinstance(value, str) and HEX64.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("vault", "type", "time", "host", "user", "uuid"), lambda value: isinstance(value, str)),
    **dict.fromkeys(("version", "index", "pid"), _is_count),
    **dict.fromkeys(("monotonic", "bits", "total_bits"), lambda value: isinstance(value, float) and value >= 0),
    "prev": _is_hex64,
    "selection": lambda value: value is None or _is_hex64(value),
    "opening": lambda value: value is None or (_is_count(value) and value > 0),
    "boot_id": lambda value: isinstance(value, str | None),
    "framework": lambda value: isinstance(value, dict) and set(value) == {"version", "code_sha256"},
    "body": lambda value: isinstance(value, dict),
}


def _link_problems(entry: Entry, index: int, before: Entry | None, vault: str | None) -> Iterator[str]:
    """Mistakes between an entry and the one before it; None: that could not be read, or this is the first."""
    if entry.index != index:
        yield f"says that it is entry {entry.index}"
    prev = before.sha256 if before else FIRST_PREV
    if (before or index == 0) and entry.fields["prev"] != prev:
        yield "does not follow from the entry before it"
    total = entry.fields["bits"] + (before.fields["total_bits"] if before else 0.0)
    if (before or index == 0) and abs(entry.fields["total_bits"] - total) > 1e-6 * max(1.0, total):
        yield "its total of bits is not the sum so far"
    if vault not in (None, entry.fields["vault"]):
        yield f"belongs to vault {entry.fields['vault'][:32]!r}"
