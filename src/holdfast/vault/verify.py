"""Verification of vaults: offline, without a key, on whatever lies there. What is wrong is a finding, no traceback."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import HoldfastError, InputError
from holdfast.core.files import sha256_file
from holdfast.vault import known_rows, policies, registry
from holdfast.vault.ledger import ledger
from holdfast.vault.ledger.ledger import Entry, Found
from holdfast.vault.lifecycle import SECRET_FILES, VAULT_NAME
from holdfast.vault.manifest import FILE_NAME, parse_manifest

SELECTION_FILE = "selection.json"

StoreDigests = Sequence[tuple[str, NDArray[np.uint8]]]
STUMBLES = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: in which vault, of what kind, at which file or entry, and what."""

    vault: str
    kind: str
    where: str
    what: str


def verify_home(store_digests: StoreDigests = ()) -> list[Finding]:
    """Check every vault of this HOLDFAST_HOME, and all that development can read: its names and row digests."""
    findings = _verify_registered(places.vaults(), places.registry())
    for vault, folder in _folders(places.home()).items() if store_digests else ():
        entries = ledger.scan(folder / "ledger", vault)[0]
        if registry.status_of(entries)[0] == registry.SEALED:
            findings += _findings(vault, _guarded("store", places.store(), _rows_in_the_open(vault, store_digests)))
    return findings


def verify_path(path: Path) -> list[Finding]:
    """Check a copy: a whole HOLDFAST_HOME, a folder of vaults, or one vault; errors as of `vault_folders`."""
    if (path / "registry").is_dir():
        return _verify_registered(path / "vaults", path / "registry")
    return [finding for folder in vault_folders(path).values() for finding in verify_vault(folder, None)]


def vault_folders(path: Path) -> dict[str, Path]:
    """The vaults at a path, which is a home, a folder of vaults or a vault, by id; InputError: there is none."""
    if not (folders := _folders(path)):
        raise InputError(str(path), "holds no vault", next="name a HOLDFAST_HOME, or a vault's folder")
    return folders


def _folders(path: Path) -> dict[str, Path]:
    if (path / FILE_NAME).exists() or (path / "ledger").is_dir():
        return {_id_of(path): path}
    inside = path / "vaults" if (path / "vaults").is_dir() else path
    return {folder.name: folder for folder in sorted(inside.glob("*")) if VAULT_NAME.fullmatch(folder.name)}


def verify_vault(folder: Path, head: dict[str, Any] | None, copies: Path | None = None) -> list[Finding]:
    """Check one vault's folder, or a copy of it.

    `head` is the one of its ledger that was seen last; None: nobody remembers one.
    """
    vault = _id_of(folder)
    entries, problems = ledger.scan(folder / "ledger", vault)
    if head is not None:
        problems += ledger.head_problems(entries, head, "seen last")
    problems += _guarded("manifest", folder / FILE_NAME, manifest_problems(folder, vault, entries))
    problems += _guarded("file", folder, sealed_problems(folder, entries))
    problems += _guarded("file", folder, other_problems(folder, entries, copies))
    for selection in (str(entry.selection) for entry in entries if entry.type == "freeze"):
        changes = selection_problems(folder / "selections" / selection, selection)
        problems += _guarded("selection", folder, changes)
    problems += _guarded("order", folder / "ledger", _disorder(folder, entries))
    return _findings(vault, problems)


def find_forks(path: Path, other: Path) -> list[Finding]:
    """Entries at which two copies of the same vaults part."""
    first, second = vault_folders(path), vault_folders(other)
    common = sorted(first.keys() & second.keys())
    if not common:
        return [Finding("", "fork", str(other), f"has no vault in common with {path}")]
    findings = []
    for vault in common:
        copies = [ledger.scan(folders[vault] / "ledger", vault)[0] for folders in (first, second)]
        findings += _findings(vault, _fork(*copies))
    return findings


def missing_heads(path: Path, heads: Sequence[str]) -> list[Finding]:
    """Given heads, or their first eight digits or more, that stand in no ledger at a path."""
    known = [
        entry.sha256
        for vault, folder in vault_folders(path).items()
        for entry in ledger.scan(folder / "ledger", vault)[0]
    ]
    problem = "stands in no ledger: cut, rewritten, forked, or another vault"
    stands = {head: len(head) >= 8 and any(sha256.startswith(head.lower()) for sha256 in known) for head in heads}
    return [Finding("", "head", head, problem) for head, is_there in stands.items() if not is_there]


def locked_heads(path: Path, locked: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Heads of a project's `holdfast.lock` that are not in the ledgers at a path."""
    folders, findings = _folders(path), []
    for vault, heads in ((str(entry["vault"]), entry["heads"]) for entry in locked):
        if vault not in folders:
            findings.append(Finding(vault, "lock", str(path), "has no vault that holdfast.lock names"))
            continue
        entries = ledger.scan(folders[vault] / "ledger", vault)[0]
        for act, head in heads.items():
            findings += _findings(vault, ledger.head_problems(entries, head, f"that holdfast.lock has ({act})"))
    return findings


def _fork(first: Sequence[Entry], second: Sequence[Entry]) -> Iterator[Found]:
    """The entry at which two copies of one ledger part; a copy that is only shorter is no fork."""
    for mine, other in zip(first, second, strict=False):
        if mine.sha256 != other.sha256:
            copies = f"{mine.type} ({mine.sha256[:12]}) in one copy and {other.type} ({other.sha256[:12]}) in the other"
            yield "fork", f"entry {mine.index}", f"is {copies}"
            return


def _findings(vault: str, problems: Iterable[Found]) -> list[Finding]:
    return [Finding(vault, *problem) for problem in problems]


def _id_of(folder: Path) -> str:
    """The id of a vault, also of a copy that was renamed."""
    if VAULT_NAME.fullmatch(folder.name):
        return folder.name
    try:
        return str(parse_manifest(folder / FILE_NAME)[0]["vault"])
    except (HoldfastError, *STUMBLES):
        return folder.name


def _verify_registered(vaults: Path, heads: Path) -> list[Finding]:
    """Findings of every vault that is there or is remembered."""
    findings: list[Finding] = []
    known: dict[str, dict[str, Any]] = {}
    for path in sorted(heads.glob("*.json")):
        try:
            known[path.stem] = registry.read_head(path)
        except HoldfastError as error:
            findings.append(Finding(path.stem, "registry", str(path), error.problems[0].what))
    folders = {path.name: path for path in vaults.glob("*") if VAULT_NAME.fullmatch(path.name)}
    for vault in sorted(known.keys() | folders.keys()):
        if vault not in folders:
            findings.append(Finding(vault, "vault", str(vaults / vault), "the vault's folder is gone"))
            continue
        if vault not in known:
            findings.append(Finding(vault, "registry", str(folders[vault]), "no record of this vault in the registry"))
        findings += verify_vault(folders[vault], known.get(vault), heads / vault)
    return findings


def _guarded(kind: str, where: Path, check: Iterator[Found]) -> list[Found]:
    """The problems that a check finds; what it stumbles over is one too."""
    problems: list[Found] = []
    try:
        problems.extend(check)
    except HoldfastError as error:
        problems += [(kind, problem.where, problem.what) for problem in error.problems]
    except STUMBLES as error:
        problems.append((kind, str(where), f"cannot be checked: {type(error).__name__} {error}"[:300]))
    return problems


def _disorder(folder: Path, entries: Sequence[Entry]) -> Iterator[Found]:
    yield from policies.order_problems(entries, parse_manifest(folder / FILE_NAME)[0]["policy"])


def _rows_in_the_open(vault: str, store_digests: StoreDigests) -> Iterator[Found]:
    """Rows that development can read and that are sealed; needs the home's fingerprint key, no vault's key."""
    sealed = known_rows.sealed_rows(vault)
    for name, digests in store_digests:
        if count := int(sealed.are_sealed(digests).sum()):
            yield "store", name, f"{count} sealed rows lie in the open"


# --- a vault's folder against its ledger ------------------------------------------------------------------------------


def manifest_problems(folder: Path, vault: str, entries: Sequence[Entry]) -> Iterator[Found]:
    """Report a manifest that is not the one that the ledger commits to."""
    where = str(folder / FILE_NAME)
    fields, sha256 = parse_manifest(folder / FILE_NAME)
    if entries and entries[0].index == 0 and entries[0].body.get("manifest") != sha256:
        yield "manifest", where, "is not the one that the ledger commits to"
    if fields["vault"] != vault:
        yield "manifest", where, f"belongs to vault {str(fields['vault'])[:32]!r}"


def sealed_problems(folder: Path, entries: Sequence[Entry]) -> Iterator[Found]:
    """Sealed files and files of openings that are missing, changed, or there although the vault was ended."""
    committed = dict(entries[0].body["files"]) if entries and entries[0].index == 0 else {}
    is_ended = registry.status_of(entries)[0] != registry.SEALED
    for name, sha256 in sorted((committed | _kept_files(entries)).items()):
        path = folder / name
        if not (is_ended and name in SECRET_FILES):
            yield from _changes("file", path, sha256)
        elif path.exists():
            yield "file", str(path), "should have gone when the vault was put out of force"


def other_problems(folder: Path, entries: Sequence[Entry], copies: Path | None) -> Iterator[Found]:
    """Files that belong to no entry, and copies in the registry, at `copies` plus a suffix, that are not as sealed."""
    for path in sorted((folder / "ledger").glob("*")):
        if not (ledger.NAME.fullmatch(path.name) or path.match(".*.tmp")):
            yield "ledger", str(path), "is no entry of a ledger"
    # A crash between a file and its entry leaves one for an opening that was begun.
    begun = {str(entry.selection) for entry in entries if entry.type == "open.intent"}
    for path in sorted((folder / "openings").glob("[!.]*")):
        if f"openings/{path.name}" not in _kept_files(entries) and path.name.partition(".")[0] not in begun:
            yield "file", str(path), "belongs to no opening"
    if copies is not None and entries and entries[0].index == 0:
        sealed = {FILE_NAME: entries[0].body["manifest"], **entries[0].body["files"]}
        for name, file_name in registry.COPIED.items():
            yield from _changes("registry", copies.with_suffix(f".{name}"), sealed[file_name])


def _changes(kind: str, path: Path, sha256: str, since: str = "") -> Iterator[Found]:
    """Report a file that is missing, no plain file, or not the one that it was."""
    if not path.is_file() or path.is_symlink():
        yield kind, str(path), "is missing"
    elif sha256_file(path) != sha256:
        yield kind, str(path), f"was changed{since}"


def _kept_files(entries: Sequence[Entry]) -> dict[str, str]:
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
