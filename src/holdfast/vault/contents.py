"""What must lie in a vault's folder, by its ledger: manifest, sealed parts, kept files, frozen selections."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.files import sha256_file
from holdfast.vault.ledger import ledger
from holdfast.vault.lifecycle import ENDS, SECRET_FILES
from holdfast.vault.manifest import FILE_NAME, read_manifest

SELECTION_FILE = "selection.json"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: in which vault, of what kind, at which file or entry, and what."""

    vault: str
    kind: str
    where: str
    what: str


def manifest_findings(folder: Path, vault: str, entries: Sequence[ledger.Entry]) -> Iterator[Finding]:
    """Whether the manifest is the one that the ledger commits to."""
    fields, sha256 = read_manifest(folder)
    first = entries[0] if entries and entries[0].index == 0 else None
    if first is not None and first.body.get("manifest") != sha256:
        yield Finding(vault, "manifest", str(folder / FILE_NAME), "is not the one that the ledger commits to")
    if fields["vault"] != vault:
        yield Finding(vault, "manifest", str(folder / FILE_NAME), f"belongs to vault {str(fields['vault'])[:32]!r}")


def file_findings(
    folder: Path, vault: str, entries: Sequence[ledger.Entry], remembered: Path | None
) -> Iterator[Finding]:
    """Sealed parts, fingerprints and what openings have kept: missing, changed, or of no opening."""
    committed = dict(entries[0].body["files"]) if entries and entries[0].index == 0 else {}
    kept = _kept_files(entries)
    is_ended = any(entry.type in ENDS for entry in entries)
    for name, sha256 in sorted((committed | kept).items()):
        path = folder / name
        if is_ended and name in SECRET_FILES:
            if path.exists():
                yield Finding(vault, "file", str(path), "should have gone when the vault was put out of force")
        elif not path.is_file():
            yield Finding(vault, "file", str(path), "is missing")
        elif sha256_file(path) != sha256:
            yield Finding(vault, "file", str(path), "was changed")
    # A crash between a file and its entry leaves one for an opening that was begun.
    begun = {str(entry.selection) for entry in entries if entry.type == "open.intent"}
    for path in sorted((folder / "openings").glob("[!.]*")):
        if f"openings/{path.name}" not in kept and path.name.partition(".")[0] not in begun:
            yield Finding(vault, "file", str(path), "belongs to no opening")
    if remembered is not None and committed:
        others = ((remembered.with_suffix(f".{name}"), f"{name}.bin") for name in ("targets", "cells"))
        for path, name in ((remembered, "fingerprints.bin"), *others):
            if not path.exists():
                yield Finding(vault, "registry", str(path), "is missing")
            elif sha256_file(path) != committed[name]:
                yield Finding(vault, "registry", str(path), "was changed")


def _kept_files(entries: Sequence[ledger.Entry]) -> dict[str, str]:
    """Predictions and outcomes of every opening, with their hashes."""
    kept = {}
    for entry in entries:
        if entry.type == "open.predicted":
            kept[f"openings/{entry.selection}.sealed"] = entry.body["file"]
        elif entry.type == "open.result" and "outcomes" in entry.body:
            kept[f"openings/{entry.selection}.outcomes.sealed"] = entry.body["outcomes"]["file"]
    return kept


def selection_findings(folder: Path, vault: str, entries: Sequence[ledger.Entry]) -> Iterator[Finding]:
    """Every file of every frozen selection."""
    frozen = [str(entry.selection) for entry in entries if entry.type == "freeze"]
    for selection in frozen:
        for where, what in selection_problems(folder / "selections" / selection, selection):
            yield Finding(vault, "selection", where, what)


def selection_problems(folder: Path, selection: str) -> list[tuple[str, str]]:
    """Where and what: every file of a frozen selection that is not as it was frozen."""
    path = folder / SELECTION_FILE
    if not path.is_file():
        return [(str(path), "is missing")]
    if sha256_file(path) != selection:
        return [(str(path), "was changed since the freeze")]
    problems = []
    for name, sha256 in sorted(json.loads(path.read_bytes())["files"].items()):
        file = folder / name
        if not file.is_file() or file.is_symlink():
            problems.append((str(file), "is missing"))
        elif sha256_file(file) != sha256:
            problems.append((str(file), "was changed since the freeze"))
    return problems
