"""Verification of vaults: offline, without a key, on whatever lies there. What is wrong is a finding, no traceback."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import HoldfastError
from holdfast.core.files import sha256_file
from holdfast.vault import fingerprints, keys, ledger, registry
from holdfast.vault.manifest import FILE_NAME, folder_of, read_manifest
from holdfast.vault.sealing import SECRET_FILES, VAULT_NAME

SELECTION_FILE = "selection.json"
StoreDigests = Iterable[tuple[str, NDArray[np.uint8]]]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: in which vault, of what kind, at which file or entry, and what."""

    vault: str
    kind: str
    where: str
    what: str


def verify_home(store_digests: StoreDigests = ()) -> list[Finding]:
    """Check every vault of this HOLDFAST_HOME.

    Args:
        store_digests: Name and row digests of everything that development can read.
    """
    findings: list[Finding] = []
    known: dict[str, dict[str, Any]] = {}
    for path in sorted(places.registry().glob("*.json")):
        findings += _guarded(path.stem, "registry", path, functools.partial(_read_record, path.stem, known))
    vaults = places.vaults()
    present = {path.name for path in vaults.iterdir() if VAULT_NAME.fullmatch(path.name)} if vaults.is_dir() else set()
    for vault in sorted(known.keys() | present):
        if vault not in present:
            findings.append(Finding(vault, "vault", str(folder_of(vault)), "the vault's folder is gone"))
        else:
            findings += verify_vault(folder_of(vault), known.get(vault))
    return findings + _store_findings(known, list(store_digests))


def verify_vault(folder: Path, record: dict[str, Any] | None) -> list[Finding]:
    """Check one vault's folder, or a copy of it, against the registry's record where there is one."""
    vault = str(record["vault"]) if record else folder.name
    entries, findings = _scan(folder / "ledger", vault)
    if record is None:
        findings.append(Finding(vault, "registry", str(folder), "no record of this vault in the registry"))
    else:
        findings += [Finding(vault, "head", *finding) for finding in _head_findings(entries, record)]
    findings += _guarded(vault, "manifest", folder / FILE_NAME, lambda: _manifest_findings(folder, vault, entries))
    is_replaced = record is not None and record["status"] == "replaced"
    findings += _guarded(vault, "file", folder, lambda: _file_findings(folder, vault, entries, is_replaced))
    findings += _guarded(vault, "selection", folder, lambda: _selection_findings(folder, vault, entries))
    findings += _guarded(vault, "order", folder / "ledger", lambda: _order_findings(folder, vault, entries))
    return findings


def _read_record(vault: str, known: dict[str, dict[str, Any]]) -> list[Finding]:
    known[vault] = registry.record_of(vault)
    return []


def _guarded(vault: str, kind: str, where: Path, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a check finds; what it stumbles over is a finding too."""
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except HoldfastError as error:
        findings += [Finding(vault, kind, problem.where, problem.what) for problem in error.problems]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        findings.append(Finding(vault, kind, str(where), f"cannot be checked: {type(error).__name__} {error}"[:300]))
    return findings


# --- the ledger -------------------------------------------------------------------------------------------------------


def _scan(folder: Path, vault: str) -> tuple[list[ledger.Entry], list[Finding]]:
    """All entries that can be read, and what is wrong with the chain."""
    findings: list[Finding] = []
    entries: list[ledger.Entry] = []
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    for name in names:
        if not ledger.NAME.fullmatch(name) and not (name.startswith(".") and name.endswith(".tmp")):
            findings.append(Finding(vault, "ledger", str(folder / name), "is no entry of a ledger"))
    indexes = [int(name[:8]) for name in names if ledger.NAME.fullmatch(name)]
    if not indexes:
        findings.append(Finding(vault, "ledger", str(folder), "there is no ledger"))
    for expected in sorted(set(range(max(indexes, default=-1) + 1)) - set(indexes))[:20]:
        findings.append(Finding(vault, "ledger", f"entry {expected}", "is missing"))
    prev: str | None = ledger.FIRST_PREV
    for index in indexes:
        try:
            entry = ledger.read_entry(folder, index)
        except HoldfastError as error:
            findings.append(Finding(vault, "ledger", f"entry {index}", error.problems[0].what))
            prev = None
            continue
        entries.append(entry)
        findings += [
            Finding(vault, "ledger", f"entry {index}", what) for what in _link_problems(entry, index, prev, vault)
        ]
        prev = entry.sha256
    total = 0.0
    for entry in entries:
        total += entry.fields["bits"]
        if abs(entry.fields["total_bits"] - total) > 1e-6 * max(1.0, total):
            findings.append(Finding(vault, "ledger", f"entry {entry.index}", "its total of bits is not the sum so far"))
            break
    return entries, findings


def _link_problems(entry: ledger.Entry, index: int, prev: str | None, vault: str) -> Iterator[str]:
    if entry.index != index:
        yield f"says that it is entry {entry.index}"
    if prev is not None and entry.fields["prev"] != prev:
        yield "does not follow from the entry before it"
    if entry.fields["vault"] != vault:
        yield f"belongs to vault {entry.fields['vault'][:32]!r}"
    if (entry.type == "seal") != (index == 0):
        yield "is a second seal" if entry.type == "seal" else "is the first entry and no seal"


def _head_findings(entries: Sequence[ledger.Entry], record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    index, sha256 = record["head"]["index"], record["head"]["sha256"]
    by_index = {entry.index: entry for entry in entries}
    if index not in by_index:
        yield f"entry {index}", f"was the head seen last ({sha256[:12]}), and is gone: cut, or an old copy"
    elif by_index[index].sha256 != sha256:
        yield f"entry {index}", f"is not the head seen last ({sha256[:12]}): rewritten, or forked"


def _order_findings(folder: Path, vault: str, entries: Sequence[ledger.Entry]) -> Iterator[Finding]:
    """Every step has the step before it, and the policy was kept."""
    seen: set[tuple[str, str | None, int | None]] = set()
    opened: set[str | None] = set()
    needs = {"open.predicted": "open.intent", "open.result": "open.predicted", "open.mismatch": "open.intent"}
    for entry in entries:
        where, step = f"entry {entry.index}", (entry.selection, entry.fields["opening"])
        if entry.type in needs and (needs[entry.type], *step) not in seen:
            yield Finding(vault, "order", where, f"is {entry.type} without its {needs[entry.type]}")
        if entry.type == "open.intent" and ("freeze", entry.selection, None) not in seen:
            yield Finding(vault, "order", where, "opens a selection that was not frozen")
        if entry.type in ("open.intent", "open.predicted", "open.result") and (entry.type, *step) in seen:
            yield Finding(vault, "order", where, f"is a second {entry.type} of the same opening")
        opened |= {entry.selection} if entry.type == "open.intent" else set()
        seen.add((entry.type, *step))
    policy = read_manifest(folder)[0]["policy"]["policy"]
    if policy == "once" and len(opened) > 1:
        yield Finding(vault, "policy", "ledger", f"{len(opened)} selections were opened under the policy once")


# --- files ------------------------------------------------------------------------------------------------------------


def _manifest_findings(folder: Path, vault: str, entries: Sequence[ledger.Entry]) -> Iterator[Finding]:
    fields, sha256 = read_manifest(folder)
    first = entries[0] if entries and entries[0].index == 0 else None
    if first is not None and first.body.get("manifest") != sha256:
        yield Finding(vault, "manifest", str(folder / FILE_NAME), "is not the one that the ledger commits to")
    if fields["vault"] != vault:
        yield Finding(vault, "manifest", str(folder / FILE_NAME), f"belongs to vault {str(fields['vault'])[:32]!r}")


def _file_findings(folder: Path, vault: str, entries: Sequence[ledger.Entry], is_replaced: bool) -> Iterator[Finding]:
    committed = dict(entries[0].body["files"]) if entries and entries[0].index == 0 else {}
    openings = folder / "openings"
    committed |= {
        f"openings/{entry.selection}.sealed": entry.body["file"] for entry in entries if entry.type == "open.predicted"
    }
    for name, sha256 in sorted(committed.items()):
        path = folder / name
        if is_replaced and name in SECRET_FILES:
            if path.exists():
                yield Finding(vault, "file", str(path), "should have gone when the vault was replaced")
        elif not path.is_file():
            yield Finding(vault, "file", str(path), "is missing")
        elif sha256_file(path) != sha256:
            yield Finding(vault, "file", str(path), "was changed")
    if openings.is_dir():
        for path in openings.iterdir():
            if not path.name.startswith(".") and f"openings/{path.name}" not in committed:
                # A crash between the file and its entry leaves one for an opening that was begun.
                begun = any(entry.type == "open.intent" and entry.selection == path.stem for entry in entries)
                if not begun:
                    yield Finding(vault, "file", str(path), "belongs to no opening")
    remembered = registry.fingerprints_path(vault)
    if remembered.exists() and committed and sha256_file(remembered) != committed["fingerprints.bin"]:
        yield Finding(vault, "registry", str(remembered), "was changed")


def _selection_findings(folder: Path, vault: str, entries: Sequence[ledger.Entry]) -> Iterator[Finding]:
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


def _store_findings(
    known: dict[str, dict[str, Any]], store_digests: Sequence[tuple[str, NDArray[np.uint8]]]
) -> list[Finding]:
    """Rows that development can read and that are sealed; needs the home's fingerprint key, no vault's key."""
    if not store_digests or not known:
        return []
    findings: list[Finding] = []

    def check() -> Iterator[Finding]:
        key = keys.fingerprint_key(may_create=False)
        for name, digests in store_digests:
            prints = fingerprints.fingerprints_of(digests, key)
            for vault, record in known.items():
                path = registry.fingerprints_path(vault)
                if record["status"] != "sealed":
                    continue
                certain, _ = fingerprints.count_matches(fingerprints.read_records(path), prints)
                if certain:
                    yield Finding(vault, "store", name, f"{certain} sealed rows lie in the open")

    findings += _guarded("", "store", places.store(), check)
    return findings
