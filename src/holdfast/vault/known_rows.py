"""Rows that are sealed in a vault are known again, whatever file, name, order or columns they come in."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import VaultRefused
from holdfast.vault import manifest, registry
from holdfast.vault.keys import key_files
from holdfast.vault.rows.cell_hashes import TableCells, hashes_of, known_by_cells
from holdfast.vault.rows.digest_sets import (
    BLOCK_ROWS,
    MOSTLY,
    Fingerprints,
    content_id,
    keys_of,
    num_distinct,
    share_among,
)
from holdfast.vault.rows.identity import RowArray, target_words, targeted_digests

Mask = NDArray[np.bool_]
Columns = tuple[str, ...]
SAME_TARGET_SHARE = 0.9


@dataclass(frozen=True, eq=False)
class RowForms:
    """The rows of a source in the forms in which a vault may know them."""

    digests: RowArray  # (n, 16) of what the source holds
    y: NDArray[Any]  # their targets
    class_names: tuple[str, ...] = ()  # what class numbers stand for
    columns: Columns = ()  # the columns of a table that these are over; empty where they have no names
    # (n, 16) digests by the columns that the rows of vaults in force are known by
    by_columns: Mapping[Columns, RowArray] = field(default_factory=dict)
    others: tuple[RowArray, ...] = ()  # (n, 16) each: the bytes of images, the columns that name a row
    cells: TableCells | None = None  # of a table: its rows are known by most of their cells where they are by no form

    def __len__(self) -> int:
        return len(self.digests)

    def over(self, columns: Sequence[str]) -> RowArray:
        """(n, 16) digests over a vault's columns; the source's own where it does not have these."""
        return self.by_columns.get(tuple(columns), self.digests)


@dataclass(frozen=True, eq=False)
class Seen:
    """Rows of a source as a vault in force knows them."""

    record: dict[str, Any]  # the registry's
    rows: Mask  # (n,) rows that equal a sealed one, those that prove nothing included
    certain: Mask  # (n,) rows that are sealed for certain
    development: Mask  # (n,) rows that the vault knew as train or val rows when it was sealed
    # which share of the rows that the vault knew when it was sealed, test and development, the source holds
    share: float
    # whether the sealed rows have the target that they have in the source; None: none of them is in it with its content
    has_same_target: bool | None

    @property
    def holds_most(self) -> bool:
        """Tell whether the source holds most of the rows that the vault knew, or is mostly a part of these rows."""
        is_part = bool(self.record["sketch"]) and float((self.rows | self.development).mean()) >= MOSTLY
        return is_part or self.share >= MOSTLY

    @property
    def name(self) -> str:
        """The vault's name in messages."""
        return f"vault {self.record['vault'][:8]} ({self.record['name']})"

    def require_folder(self) -> None:
        """Refuse to go on with a vault whose folder is gone."""
        if not manifest.folder_of(self.record["vault"]).is_dir():
            problem = f"holds these rows, and its folder is gone from {places.vaults()}"
            raise VaultRefused(self.name, problem, next="restore the folder from a copy")


def fingerprint_key(vault: str) -> bytes:
    """The key of a vault's fingerprints: with another one its rows would silently be strangers.

    Raises:
        VaultRefused: It is missing, or another one.
    """
    key, check = key_files.fingerprint_key(vault=vault), registry.record_of(vault)["fingerprints"]["check"]
    if not hmac.compare_digest(key_files.check_value(key, vault, "fingerprint"), check):
        problem = f"fingerprint.key is another one than the rows of vault {vault[:8]} are known by"
        raise VaultRefused(str(places.keys()), problem, next="put the key back, or set HOLDFAST_KEYS to its folder")
    return key


def sealed_rows(vault: str) -> Fingerprints:
    """The rows that are sealed in a vault, by their fingerprints in the registry; errors as of `fingerprint_key`."""
    return Fingerprints(registry.copy_of(vault, "fingerprints"), fingerprint_key(vault))


def is_frozen(vault: str) -> bool:
    """Tell whether a selection was ever frozen against a vault: from then on its test part is fixed."""
    return any(entry.type == "freeze" for entry in registry.read_ledger(vault))


def column_lists() -> set[Columns]:
    """The columns that the rows of vaults in force are known by; the empty list: they have no names."""
    return {tuple(record["columns"]) for record in registry.in_force()}


def look_up(forms: RowForms) -> list[Seen]:
    """Look some rows up in every vault in force; errors as of `fingerprint_key`."""
    return [_seen(record, forms) for record in registry.in_force()]


def _seen(record: dict[str, Any], forms: RowForms) -> Seen:
    digests, sealed = forms.over(record["columns"]), sealed_rows(record["vault"])
    by_content, certain = sealed.matches(digests)
    rows = by_content.copy()
    for form in forms.others:
        matches, certain_matches = sealed.matches(form)
        rows |= matches
        certain |= certain_matches
    # Of a table of few values only the whole content is known again, targets included.
    is_whole = not record["sketch"] and content_id(digests, forms.y) == record["content"]
    share = share_among(record["sketch"], digests) if record["sketch"] else float(is_whole)
    has_same_target = is_whole or _has_same_target(record, forms, digests, by_content)
    development = ~rows & np.isin(keys_of(digests), _development_keys(record["vault"]))
    if not is_whole and num_distinct(digests[np.flatnonzero(by_content)]) < record["fingerprints"]["contents"]:
        near, agrees = _changed_rows(record, forms, ~by_content & ~development)
        rows |= near
        certain |= near
        if near.any():
            share = max(share, num_distinct(digests[np.flatnonzero(rows)]) / record["fingerprints"]["contents"])
        if near.any() and not by_content.any():
            has_same_target = bool(agrees.sum() > SAME_TARGET_SHARE * near.sum())
    return Seen(record, rows, certain, development, share, has_same_target)


def _development_keys(vault: str) -> NDArray[np.uint64]:
    """Keys of the train and val rows that a vault knew; none where its folder is gone."""
    path = manifest.folder_of(vault) / manifest.DEVELOPMENT_FILE
    return np.fromfile(path, "<u8") if path.exists() else np.zeros(0, "<u8")


def _changed_rows(record: dict[str, Any], forms: RowForms, is_other: Mask) -> tuple[Mask, Mask]:
    """Rows of a table that are sealed by most of their cells, and which of these have the sealed target.

    They are looked for where sealed rows are missing: a column was removed, renamed or changed, or a cell was mended.
    Only rows that are not known by content can be such, neither as sealed ones nor as train or val rows (`is_other`).
    """
    key_path, none = key_files.key_path(record["vault"], key_files.CELLS), np.zeros(len(forms), bool)
    if forms.cells is None or not key_path.exists() or not is_other.any():
        return none, none
    key = key_files.read_key(key_path, record["vault"], key_files.CELLS)
    cells = registry.copy_of(record["vault"], "cells")
    sealed = np.fromfile(cells, "<u4").reshape(-1, len(record["cell_columns"]) + 1)
    target = hashes_of(target_words(forms.y, forms.class_names), key)
    is_known, agrees = known_by_cells(sealed, record["cell_columns"], forms.cells, target, key)
    return is_known & is_other, agrees & is_other


def _has_same_target(record: dict[str, Any], forms: RowForms, digests: RowArray, rows: Mask) -> bool | None:
    """Tell whether more than nine in ten of the different rows that are known have the target they were sealed with.

    A row that equals a sealed one may have another target and was left out for that: equal rows count once.
    """
    places = np.flatnonzero(rows)
    if not len(places):
        return None
    content = digests[places]
    targeted = targeted_digests(content, forms.y[places], forms.class_names)
    targets = Fingerprints(registry.copy_of(record["vault"], "targets"), fingerprint_key(record["vault"]))
    agrees = targets.matches(targeted)[0]
    return num_distinct(content[agrees]) > SAME_TARGET_SHARE * num_distinct(content)


def new_rows(vault: str, digests: RowArray, test: Mask) -> Mask | None:
    """(n,) True for rows that are neither sealed in a vault nor were its train or val rows; None where none is new."""
    is_new = ~test & ~np.isin(keys_of(digests), _development_keys(vault))
    return is_new if is_new.any() else None


def count_sealed(forms: Sequence[RowArray], vaults: Iterable[str] | None = None) -> dict[str, int]:
    """Count the rows that are sealed for certain, by vault; vaults with none of them are left out.

    Digests are (n, 16) in one or several forms; a match of any is a match.
    """
    vaults = [record["vault"] for record in registry.in_force()] if vaults is None else vaults
    sealed, counts = {vault: sealed_rows(vault) for vault in vaults}, Counter[str]()
    for start in range(0, len(forms[0]), BLOCK_ROWS):
        blocks = [form[start : start + BLOCK_ROWS] for form in forms]
        for vault, rows in sealed.items():
            counts[vault] += int(np.logical_or.reduce([rows.are_sealed(block) for block in blocks]).sum())
    return dict(+counts)


def ended_vaults(forms: RowForms, rows: Mask) -> list[str]:
    """Vaults that were superseded or destroyed and had some of these `rows`, and what those descend from."""
    lineage: dict[str, None] = {}
    for record in registry.records():
        if record["status"] in (registry.SUPERSEDED, registry.DESTROYED):
            chosen = [form[np.flatnonzero(rows)] for form in (forms.over(record["columns"]), *forms.others)]
            if count_sealed(chosen, [record["vault"]]):
                lineage |= dict.fromkeys([*record["lineage"], record["vault"]])
    return list(lineage)
