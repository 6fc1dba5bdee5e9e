"""The tripwire: rows that are sealed in a vault are known again, whatever file, name or order they come in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import VaultRefused
from holdfast.vault import fingerprints, keys, manifest, registry

Digests = NDArray[np.uint8]


def is_frozen(vault: str) -> bool:
    """Whether a selection was ever frozen against a vault: from then on its test part is fixed."""
    return any(entry.type == "freeze" for entry in registry.read_ledger(vault))


def same_rows(rows: str, claim: str) -> list[dict[str, Any]]:
    """Vaults in force over the same rows: the one that fits, or those that may be replaced.

    Raises:
        VaultRefused: One is frozen in another way, or its folder is gone.
    """
    same = [record for record in registry.records() if record["status"] == "sealed" and record["rows"] == rows]
    for record in same:
        name = f"vault {record['vault'][:8]} ({record['name']})"
        if not manifest.folder_of(record["vault"]).is_dir():
            what = f"holds these rows, and its folder is gone from {places.vaults()}"
            raise VaultRefused(name, what, next="restore the folder from a copy")
        if record["claim"] == claim:
            return [record]
        if is_frozen(record["vault"]):
            what = "was frozen with another test part, target or policy of the same rows: which rows are test is fixed"
            hint = "take the split, target and vault settings that it was sealed with; or holdfast vault supersede"
            raise VaultRefused(name, what, next=hint)
    return same


def refuse_sealed_rows(data: str, development: Sequence[Digests], test: Sequence[Digests], replaces: set[str]) -> None:
    """A row that is sealed in another vault enters neither the store nor a second vault.

    Args:
        data: Name of the data set, to say whose rows these are.
        development: (n, 16) digests in one or two forms; an empty form is left out. A match of either is a match.
        test: The same of the rows that would be sealed.
        replaces: Vaults that are about to be replaced.

    Raises:
        VaultRefused: Naming the vault that has the rows.
    """
    for record, key in _in_status("sealed", replaces):
        in_development = int(sealed_rows(record["vault"], key, development).sum())
        in_test = int(sealed_rows(record["vault"], key, test).sum())
        if in_development or in_test:
            name = f"vault {record['vault'][:8]} ({record['name']})"
            counts = f"{in_development} would be trained on, {in_test} would be sealed twice"
            what = f"{in_development + in_test} of these rows are sealed in {name}: {counts}"
            hint = f"train on the data as {name} has it, or leave these rows out of the source"
            raise VaultRefused(f"data {data}".strip(), what, next=hint)


def sealed_rows(vault: str, key: bytes, forms: Sequence[Digests]) -> NDArray[np.bool_]:
    """Which rows are sealed in a vault for certain, by any of their forms."""
    records = fingerprints.read_records(registry.fingerprints_path(vault))
    found = np.zeros(len(forms[0]), bool)
    for digests in forms:
        if len(digests):
            found |= fingerprints.is_sealed(records, fingerprints.fingerprints_of(digests, key))
    return found


def count_sealed(digests: Digests) -> dict[str, int]:
    """How many of some rows are sealed for certain, by vault in force; vaults with none of them are left out."""
    counts = {
        record["vault"]: int(sealed_rows(record["vault"], key, [digests]).sum())
        for record, key in _in_status("sealed", set())
    }
    return {vault: count for vault, count in counts.items() if count}


def ended_vaults(forms: Sequence[Digests]) -> list[str]:
    """Vaults that were superseded or destroyed and had some of these rows, and what those descend from."""
    found: list[str] = []
    for status in ("burnt", "destroyed"):
        for record, key in _in_status(status, set()):
            if any(sealed_rows(record["vault"], key, [digests]).any() for digests in forms if len(digests)):
                found += [*record["lineage"], record["vault"]]
    return list(dict.fromkeys(found))


def _in_status(status: str, without: set[str]) -> Iterator[tuple[dict[str, Any], bytes]]:
    for record in registry.records():
        if record["status"] == status and record["vault"] not in without:
            yield record, keys.fingerprint_key(vault=record["vault"])
