"""Verification of vaults: offline, without a key, on whatever lies there. What is wrong is a finding, no traceback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import HoldfastError, InputError
from holdfast.vault import contents, known_rows, ledger_check, registry
from holdfast.vault.ledger.entries import Entry
from holdfast.vault.ledger_check import Found
from holdfast.vault.lifecycle import VAULT_NAME
from holdfast.vault.manifest import FILE_NAME, read_manifest

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
        entries = ledger_check.scan(folder / "ledger", vault)[0]
        if registry.status_of(entries)[0] == registry.SEALED:
            findings += _findings(vault, _guarded("store", places.store(), _rows_in_the_open(vault, store_digests)))
    return findings


def verify_path(path: Path) -> list[Finding]:
    """Check a copy: a whole HOLDFAST_HOME, a folder of vaults, or one vault.

    Raises:
        InputError: There is no vault.
    """
    if (path / "registry").is_dir():
        return _verify_registered(path / "vaults", path / "registry")
    return [finding for folder in vault_folders(path).values() for finding in verify_vault(folder, None)]


def vault_folders(path: Path) -> dict[str, Path]:
    """The vaults at a path, which is a home, a folder of vaults or a vault, by id.

    Raises:
        InputError: There is none.
    """
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
    entries, problems = ledger_check.scan(folder / "ledger", vault)
    if head is not None:
        problems += ledger_check.head_problems(entries, head, "seen last")
    problems += _guarded("manifest", folder / FILE_NAME, contents.manifest_problems(folder, vault, entries))
    problems += _guarded("file", folder, contents.sealed_problems(folder, entries))
    problems += _guarded("file", folder, contents.other_problems(folder, entries, copies))
    for selection in (str(entry.selection) for entry in entries if entry.type == "freeze"):
        changes = contents.selection_problems(folder / "selections" / selection, selection)
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
        copies = [ledger_check.scan(folders[vault] / "ledger", vault)[0] for folders in (first, second)]
        findings += _findings(vault, ledger_check.fork_problems(*copies))
    return findings


def missing_heads(path: Path, heads: Sequence[str]) -> list[Finding]:
    """Given heads, or their first eight digits or more, that stand in no ledger at a path."""
    known = [
        entry.sha256
        for vault, folder in vault_folders(path).items()
        for entry in ledger_check.scan(folder / "ledger", vault)[0]
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
        entries = ledger_check.scan(folders[vault] / "ledger", vault)[0]
        for act, head in heads.items():
            findings += _findings(vault, ledger_check.head_problems(entries, head, f"that holdfast.lock has ({act})"))
    return findings


def _findings(vault: str, problems: Iterable[Found]) -> list[Finding]:
    return [Finding(vault, *problem) for problem in problems]


def _id_of(folder: Path) -> str:
    """The id of a vault, also of a copy that was renamed."""
    if VAULT_NAME.fullmatch(folder.name):
        return folder.name
    try:
        return str(read_manifest(folder)[0]["vault"])
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
    yield from ledger_check.order_problems(entries, read_manifest(folder)[0]["policy"])


def _rows_in_the_open(vault: str, store_digests: StoreDigests) -> Iterator[Found]:
    """Rows that development can read and that are sealed; needs the home's fingerprint key, no vault's key."""
    sealed = known_rows.sealed_rows(vault)
    for name, digests in store_digests:
        if count := int(sealed.are_sealed(digests).sum()):
            yield "store", name, f"{count} sealed rows lie in the open"
