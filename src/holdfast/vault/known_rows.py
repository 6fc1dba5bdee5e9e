"""Rows that are sealed in a vault are known again, whatever file, name or order they come in."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import VaultRefused
from holdfast.vault import manifest, registry
from holdfast.vault.keys import key_files
from holdfast.vault.rows import fingerprints
from holdfast.vault.rows.arrays import RowArray

Mask = NDArray[np.bool_]
BLOCK_ROWS = 2**16


def fingerprint_key(vault: str) -> bytes:
    """The key of a vault's fingerprints: with another one its rows would silently be strangers.

    Raises:
        VaultRefused: It is missing, or another one.
    """
    key, check = key_files.fingerprint_key(vault=vault), registry.record_of(vault).get("fingerprint_check")
    if check is not None and not hmac.compare_digest(key_files.check_value(key, vault, "fingerprint"), check):
        what = f"fingerprint.key is another one than the rows of vault {vault[:8]} are known by"
        raise VaultRefused(str(places.keys()), what, next="put the key back, or set HOLDFAST_KEYS to its folder")
    return key


def is_frozen(vault: str) -> bool:
    """Whether a selection was ever frozen against a vault: from then on its test part is fixed."""
    return any(entry.type == "freeze" for entry in registry.read_ledger(vault))


def column_lists() -> set[tuple[str, ...]]:
    """The columns that the rows of vaults in force are known by."""
    return {tuple(record["columns"]) for record in _in_status("sealed") if record["columns"]}


def same_rows(
    rows: str,
    cells: str,
    by_columns: Mapping[tuple[str, ...], str],
    claim: str,
    differences: Callable[[dict[str, Any]], list[str]],
) -> list[dict[str, Any]]:
    """Vaults in force over the same rows: the one that fits, or those that may be replaced.

    Args:
        rows: Identity of the rows without their targets.
        cells: With their targets: the same whichever column of a table is the target.
        by_columns: Of the rows over some of their columns, by these columns: a vault knows its rows by its own.
        claim: Identity of what exactly is sealed.
        differences: What is asked for in another way than a vault has it, by the vault's manifest, in words.

    Raises:
        VaultRefused: One is frozen in another way, or its folder is gone.
    """
    sealed = _in_status("sealed")
    same = [
        record
        for record in sealed
        if record["rows"] == rows
        or record["cells"] == cells
        or by_columns.get(tuple(record["columns"])) == record["rows"]
    ]
    for record in same:
        name = f"vault {record['vault'][:8]} ({record['name']})"
        if not manifest.folder_of(record["vault"]).is_dir():
            what = f"holds these rows, and its folder is gone from {places.vaults()}"
            raise VaultRefused(name, what, next="restore the folder from a copy")
        if record["claim"] == claim:
            return [record]
        if is_frozen(record["vault"]):
            found = " and ".join(differences(manifest.read_manifest(manifest.folder_of(record["vault"]))[0]))
            what = f"was frozen with another {found} of the same rows: what is sealed is fixed"
            hint = "take the data, split and vault settings that it was sealed with; or holdfast vault supersede"
            raise VaultRefused(name, what, next=hint)
    return same


def refuse_sealed_rows(data: str, forms: Sequence[RowArray], development: Mask, test: Mask, replaces: set[str]) -> None:
    """A row that is sealed in another vault enters neither the store nor a second vault.

    Args:
        data: Name of the data set, to say whose rows these are.
        forms: (n, 16) digests of all rows, in one or several forms; a match of any is a match.
        development: (n,) Which rows would be trained on.
        test: (n,) Which rows would be sealed.
        replaces: Vaults that are about to be replaced.

    Raises:
        VaultRefused: Naming the vault that has the rows.
    """
    records = {record["vault"]: record for record in _in_status("sealed") if record["vault"] not in replaces}
    for vault, (in_development, in_test) in _count(forms, (development, test), records).items():
        if in_development or in_test:
            name = f"vault {vault[:8]} ({records[vault]['name']})"
            counts = f"{in_development} would be trained on, {in_test} would be sealed twice"
            what = f"{in_development + in_test} of these rows are sealed in {name}: {counts}"
            hint = f"train on the data as {name} has it, or leave these rows out of the source"
            if manifest.folder_of(vault).is_dir() and not is_frozen(vault):
                hint += f"; or `holdfast vault supersede {vault[:8]} --reason TEXT` if that vault was a mistake"
            raise VaultRefused(f"data {data}".strip(), what, next=hint)


def count_sealed(forms: Sequence[RowArray]) -> dict[str, int]:
    """How many of some rows are sealed for certain, by vault in force; vaults with none of them are left out.

    Args:
        forms: (n, 16) digests of the rows, in one or several forms; a match of any is a match.
    """
    counts = _count(forms, [np.ones(len(forms[0]), bool)], [record["vault"] for record in _in_status("sealed")])
    return {vault: count for vault, (count,) in counts.items() if count}


def ended_vaults(forms: Sequence[RowArray], rows: Mask) -> list[str]:
    """Vaults that were superseded or destroyed and had some of these `rows`, and what those descend from."""
    found: list[str] = []
    for status in ("burnt", "destroyed"):
        records = {record["vault"]: record for record in _in_status(status)}
        for vault, (count,) in _count(forms, [rows], records).items():
            found += [*records[vault]["lineage"], vault] if count else []
    return list(dict.fromkeys(found))


def _count(forms: Sequence[RowArray], sides: Sequence[Mask], vaults: Collection[str]) -> dict[str, list[int]]:
    """For each vault, how many rows of each side are sealed in it for certain, by any of their forms."""
    counts = {vault: [0] * len(sides) for vault in vaults}
    key_of = {vault: fingerprint_key(vault) for vault in vaults}
    known = {
        vault: fingerprints.Known(fingerprints.read_records(registry.fingerprints_path(vault))) for vault in vaults
    }
    for start in range(0, len(forms[0]) if vaults else 0, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        blocks = [form[rows] for form in forms]
        # Vaults of one home have one key: a row is fingerprinted once for all of them.
        prints = {key: [fingerprints.fingerprints_of(block, key) for block in blocks] for key in set(key_of.values())}
        for vault in vaults:
            found = np.logical_or.reduce([known[vault].has(one) for one in prints[key_of[vault]]])
            for index, side in enumerate(sides):
                counts[vault][index] += int((found & side[rows]).sum())
    return counts


def _in_status(status: str) -> list[dict[str, Any]]:
    return [record for record in registry.records() if record["status"] == status]
