"""Checks of a vault's folder against its ledger: manifest, sealed parts, kept files, frozen selections."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from holdfast.core.files import sha256_file
from holdfast.vault.ledger import ledger
from holdfast.vault.ledger_check import Found
from holdfast.vault.lifecycle import SECRET_FILES
from holdfast.vault.manifest import FILE_NAME, read_manifest
from holdfast.vault.registry import COPIED, SEALED, status_of

SELECTION_FILE = "selection.json"


def manifest_problems(folder: Path, vault: str, entries: Sequence[ledger.Entry]) -> Iterator[Found]:
    """Report a manifest that is not the one that the ledger commits to."""
    fields, sha256 = read_manifest(folder)
    where = str(folder / FILE_NAME)
    if entries and entries[0].index == 0 and entries[0].body.get("manifest") != sha256:
        yield "manifest", where, "is not the one that the ledger commits to"
    if fields["vault"] != vault:
        yield "manifest", where, f"belongs to vault {str(fields['vault'])[:32]!r}"


def sealed_problems(folder: Path, entries: Sequence[ledger.Entry]) -> Iterator[Found]:
    """Sealed files and files of openings that are missing, changed, or there although the vault was ended."""
    committed = dict(entries[0].body["files"]) if entries and entries[0].index == 0 else {}
    is_ended = status_of(entries)[0] != SEALED
    for name, sha256 in sorted((committed | _kept_files(entries)).items()):
        path = folder / name
        if not (is_ended and name in SECRET_FILES):
            yield from _changes("file", path, sha256)
        elif path.exists():
            yield "file", str(path), "should have gone when the vault was put out of force"


def other_problems(folder: Path, entries: Sequence[ledger.Entry], copies: Path | None) -> Iterator[Found]:
    """Files of no opening, and copies in the registry, at `copies` plus a suffix, that are not what was sealed."""
    # A crash between a file and its entry leaves one for an opening that was begun.
    begun = {str(entry.selection) for entry in entries if entry.type == "open.intent"}
    for path in sorted((folder / "openings").glob("[!.]*")):
        if f"openings/{path.name}" not in _kept_files(entries) and path.name.partition(".")[0] not in begun:
            yield "file", str(path), "belongs to no opening"
    if copies is not None and entries and entries[0].index == 0:
        sealed = {FILE_NAME: entries[0].body["manifest"], **entries[0].body["files"]}
        for name, file_name in COPIED.items():
            yield from _changes("registry", copies.with_suffix(f".{name}"), sealed[file_name])


def _changes(kind: str, path: Path, sha256: str, since: str = "") -> Iterator[Found]:
    """Report a file that is missing, no plain file, or not the one that it was."""
    if not path.is_file() or path.is_symlink():
        yield kind, str(path), "is missing"
    elif sha256_file(path) != sha256:
        yield kind, str(path), f"was changed{since}"


def _kept_files(entries: Sequence[ledger.Entry]) -> dict[str, str]:
    """Predictions and outcomes of every opening, with their hashes."""
    kept = {}
    for entry in entries:
        if entry.type == "open.predicted":
            kept[f"openings/{entry.selection}.sealed"] = entry.body["file"]
        elif entry.type == "open.result" and "outcomes" in entry.body:
            kept[f"openings/{entry.selection}.outcomes.sealed"] = entry.body["outcomes"]["file"]
    return kept


def selection_problems(folder: Path, selection: str) -> Iterator[Found]:
    """Every file of a frozen selection that is not as it was frozen."""
    path, since = folder / SELECTION_FILE, " since the freeze"
    if problems := list(_changes("selection", path, selection, since)):
        yield from problems
        return
    for name, sha256 in sorted(json.loads(path.read_bytes())["files"].items()):
        yield from _changes("selection", folder / name, sha256, since)
