"""Verification of vaults: offline, without a key, on whatever lies there. What is wrong is a finding, no traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import HoldfastError, InputError
from holdfast.vault import known_rows, registry
from holdfast.vault.contents import Finding, file_findings, manifest_findings, selection_findings
from holdfast.vault.ledger import check
from holdfast.vault.lifecycle import VAULT_NAME
from holdfast.vault.manifest import FILE_NAME, read_manifest

StoreDigests = Iterable[tuple[str, NDArray[np.uint8]]]
__all__ = ["Finding", "find_forks", "locked_heads", "missing_heads", "verify_home", "verify_path", "verify_vault"]
STUMBLES = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError)


def verify_home(store_digests: StoreDigests = ()) -> list[Finding]:
    """Check every vault of this HOLDFAST_HOME.

    Args:
        store_digests: Name and row digests of everything that development can read.
    """
    findings, known = _verify_registered(places.vaults(), places.registry())
    return findings + _store_findings(known, list(store_digests))


def verify_path(path: Path) -> list[Finding]:
    """Check a copy: a whole HOLDFAST_HOME, a folder of vaults, or one vault.

    Raises:
        InputError: There is no vault.
    """
    if (path / "registry").is_dir():
        return _verify_registered(path / "vaults", path / "registry")[0]
    return [finding for folder in vault_folders(path).values() for finding in verify_vault(folder, None)]


def vault_folders(path: Path) -> dict[str, Path]:
    """The vaults at a path, which is a home, a folder of vaults or a vault, by id.

    Raises:
        InputError: There is none.
    """
    if not (found := _folders(path)):
        raise InputError(str(path), "holds no vault", next="name a HOLDFAST_HOME, or a vault's folder")
    return found


def _folders(path: Path) -> dict[str, Path]:
    if (path / FILE_NAME).exists() or (path / "ledger").is_dir():
        return {_id_of(path): path}
    inside = path / "vaults" if (path / "vaults").is_dir() else path
    return {one.name: one for one in sorted(inside.glob("*")) if VAULT_NAME.fullmatch(one.name)}


def verify_vault(folder: Path, record: dict[str, Any] | None, remembered: Path | None = None) -> list[Finding]:
    """Check one vault's folder, or a copy of it.

    Args:
        folder: Where it lies.
        record: The registry's, where there is one.
        remembered: The registry's copy of its fingerprints, where there is one.
    """
    vault = str(record["vault"]) if record else _id_of(folder)
    entries, found = check.scan(folder / "ledger", vault)
    if record is not None:
        found += check.head_problems(entries, record["head"], "seen last")
    findings = [Finding(vault, *one) for one in found]
    findings += _guarded(vault, "manifest", folder / FILE_NAME, lambda: manifest_findings(folder, vault, entries))
    findings += _guarded(vault, "file", folder, lambda: file_findings(folder, vault, entries, remembered))
    findings += _guarded(vault, "selection", folder, lambda: selection_findings(folder, vault, entries))

    def in_order() -> Iterator[Finding]:
        policy = read_manifest(folder)[0]["policy"]
        yield from (Finding(vault, *one) for one in check.order_problems(entries, policy))

    return findings + _guarded(vault, "order", folder / "ledger", in_order)


def find_forks(path: Path, other: Path) -> list[Finding]:
    """Where two copies of the same vaults tell different stories."""
    first, second = vault_folders(path), vault_folders(other)
    common = sorted(first.keys() & second.keys())
    if not common:
        return [Finding("", "fork", str(other), f"has no vault in common with {path}")]
    findings = []
    for vault in common:
        copies = [check.scan(folders[vault] / "ledger", vault)[0] for folders in (first, second)]
        findings += [Finding(vault, *one) for one in check.fork_problems(*copies)]
    return findings


def missing_heads(path: Path, heads: Sequence[str]) -> list[Finding]:
    """Given heads, or their first eight digits or more, that stand in no ledger at a path."""
    known = {
        entry.sha256
        for vault, folder in vault_folders(path).items()
        for entry in check.scan(folder / "ledger", vault)[0]
    }
    what = "stands in no ledger: cut, rewritten, forked, or another vault"
    return [Finding("", "head", head, what) for head in heads if not _stands(head, known)]


def locked_heads(path: Path, locked: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Heads of a project's `holdfast.lock` that are not in the ledgers at a path."""
    folders = _folders(path)
    findings = []
    for entry in locked:
        vault = str(entry["vault"])
        if vault not in folders:
            findings.append(Finding(vault, "lock", str(path), "has no vault that holdfast.lock names"))
            continue
        entries = check.scan(folders[vault] / "ledger", vault)[0]
        for act, head in entry["heads"].items():
            noted = f"that holdfast.lock has ({act})"
            findings += [Finding(vault, *one) for one in check.head_problems(entries, head, noted)]
    return findings


def _stands(head: str, known: set[str]) -> bool:
    return len(head) >= 8 and any(one.startswith(head.lower()) for one in known)


def _id_of(folder: Path) -> str:
    """The id of a vault, also of a copy that was renamed."""
    if VAULT_NAME.fullmatch(folder.name):
        return folder.name
    try:
        return str(read_manifest(folder)[0]["vault"])
    except (HoldfastError, *STUMBLES):
        return folder.name


def _verify_registered(vaults: Path, records: Path) -> tuple[list[Finding], dict[str, dict[str, Any]]]:
    """Every vault that is there or is remembered; and the records."""
    findings: list[Finding] = []
    known: dict[str, dict[str, Any]] = {}
    for path in sorted(records.glob("*.json")):
        try:
            known[path.stem] = registry.read_record(path)
        except HoldfastError as error:
            findings.append(Finding(path.stem, "registry", str(path), error.problems[0].what))
    present = {path.name for path in vaults.iterdir() if VAULT_NAME.fullmatch(path.name)} if vaults.is_dir() else set()
    for vault in sorted(known.keys() | present):
        if vault not in present:
            findings.append(Finding(vault, "vault", str(vaults / vault), "the vault's folder is gone"))
            continue
        if vault not in known:
            what = "no record of this vault in the registry"
            findings.append(Finding(vault, "registry", str(vaults / vault), what))
        findings += verify_vault(vaults / vault, known.get(vault), records / f"{vault}.fingerprints")
    return findings, known


def _guarded(vault: str, kind: str, where: Path, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a check finds; what it stumbles over is a finding too."""
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except HoldfastError as error:
        findings += [Finding(vault, kind, problem.where, problem.what) for problem in error.problems]
    except STUMBLES as error:
        findings.append(Finding(vault, kind, str(where), f"cannot be checked: {type(error).__name__} {error}"[:300]))
    return findings


def _store_findings(
    known: dict[str, dict[str, Any]], store_digests: Sequence[tuple[str, NDArray[np.uint8]]]
) -> list[Finding]:
    """Rows that development can read and that are sealed; needs the home's fingerprint key, no vault's key."""
    if not store_digests or not known:
        return []
    findings: list[Finding] = []

    def check() -> Iterator[Finding]:
        for vault, record in known.items():
            if record["status"] != "sealed":
                continue
            sealed = known_rows.sealed_rows(vault)
            for name, digests in store_digests:
                if certain := int(sealed.are_sealed(digests).sum()):
                    yield Finding(vault, "store", name, f"{certain} sealed rows lie in the open")

    findings += _guarded("", "store", places.store(), check)
    return findings
