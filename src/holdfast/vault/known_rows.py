"""Rows that are sealed in a vault are known again, whatever file, name, order or columns they come in."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import VaultRefused
from holdfast.vault import manifest, registry
from holdfast.vault.keys import key_files
from holdfast.vault.rows import fingerprints, sketch
from holdfast.vault.rows.arrays import RowArray
from holdfast.vault.rows.cell_hashes import TableCells, hashes_of, known_by_cells
from holdfast.vault.rows.digest_sets import as_items, content_id
from holdfast.vault.rows.identity import target_words, targeted_digests

Mask = NDArray[np.bool_]
Columns = tuple[str, ...]
BLOCK_ROWS = 2**16
SAME_TARGET_SHARE = 0.9


@dataclass(frozen=True, eq=False)
class RowForms:
    """All rows of a source in the forms in which a vault may know them.

    Attributes:
        digests: (n, 16) of what the source holds.
        columns: The columns of a table that these are over; empty where they have no names.
        by_columns: (n, 16) digests by the columns that the rows of vaults in force are known by.
        others: (n, 16) each: the bytes of images, the columns that name a row.
        y: Their targets.
        class_names: What class numbers stand for.
        cells: Of a table: its rows are known by most of their cells where they are by no form.
    """

    digests: RowArray
    y: NDArray[Any]
    class_names: tuple[str, ...] = ()
    columns: Columns = ()
    by_columns: Mapping[Columns, RowArray] = field(default_factory=dict)
    others: tuple[RowArray, ...] = ()
    cells: TableCells | None = None

    def __len__(self) -> int:
        return len(self.digests)

    def over(self, columns: Sequence[str]) -> RowArray:
        """(n, 16) digests over a vault's columns; the source's own where it does not have these."""
        return self.by_columns.get(tuple(columns), self.digests)

    @property
    def all(self) -> list[RowArray]:
        """Every form."""
        return [self.digests, *self.by_columns.values(), *self.others]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a vault in force knows of the rows of a source.

    Attributes:
        record: The registry's.
        rows: (n,) Rows that equal a sealed one, those that prove nothing included.
        certain: (n,) Rows that are sealed for certain.
        development: (n,) Rows that the vault knew as train or val rows when it was sealed.
        share: Which share of the rows that the vault knew when it was sealed, test and development, the source holds.
        has_same_target: Whether the sealed rows have the target that they have in the source; None: none of them is
            in it with its content.
    """

    record: dict[str, Any]
    rows: Mask
    certain: Mask
    development: Mask
    share: float
    has_same_target: bool | None

    @property
    def holds_most(self) -> bool:
        """Whether the source holds most of the rows that the vault knew, or is a part of these rows for the most."""
        is_part = bool(self.record["sketch"]) and float((self.rows | self.development).mean()) >= sketch.MOSTLY
        return is_part or self.share >= sketch.MOSTLY

    @property
    def name(self) -> str:
        """What the vault is called."""
        return f"vault {self.record['vault'][:8]} ({self.record['name']})"


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


def column_lists() -> set[Columns]:
    """The columns that the rows of vaults in force are known by; the empty list: they have no names."""
    return {tuple(record["columns"]) for record in in_force()}


def in_force() -> list[dict[str, Any]]:
    """The records of all vaults in force."""
    return registry.in_force()


def look(forms: RowForms) -> list[Seen]:
    """What every vault in force knows of some rows.

    Raises:
        VaultRefused: A key is missing.
    """
    return [_seen(record, forms) for record in in_force()]


def _seen(record: dict[str, Any], forms: RowForms) -> Seen:
    vault, digests = record["vault"], forms.over(record["columns"])
    key = fingerprint_key(vault)
    records = fingerprints.read_records(registry.fingerprints_path(vault))
    known, certain = fingerprints.Known(records, certain=False), fingerprints.Known(records)
    rows, sure, by_content = (np.zeros(len(forms), bool) for _ in range(3))
    for form in (*forms.others, digests):
        for start in range(0, len(forms), BLOCK_ROWS):
            prints = fingerprints.fingerprints_of(form[start : start + BLOCK_ROWS], key)
            block = slice(start, start + BLOCK_ROWS)
            by_content[block] = known.has(prints)
            rows[block] |= by_content[block]
            sure[block] |= certain.has(prints)
    if record["sketch"]:
        share = sketch.share_among(record["sketch"], digests)
    else:  # of a table of few values only the whole content is known again, targets included
        share = float(content_id(digests, forms.y) == record["content"])
    development = ~rows & np.isin(sketch.keys_of(digests), _development_keys(vault))
    is_whole = not record["sketch"] and share == 1.0
    if not is_whole and (changed := _changed_rows(record, forms, digests, by_content, development)):
        near, agrees = changed
        rows, sure = rows | near, sure | near
        num_found = len(np.unique(as_items(digests[np.flatnonzero(rows)])))
        share = max(share, num_found / record["num_contents"])
        if not by_content.any():
            has_same_target = bool(agrees.sum() > SAME_TARGET_SHARE * near.sum())
            return Seen(record, rows, sure, development, share, has_same_target if near.any() else None)
    return Seen(
        record, rows, sure, development, share, is_whole or _has_same_target(record, forms, digests, by_content, key)
    )


def _development_keys(vault: str) -> NDArray[np.uint64]:
    """Of the train and val rows that a vault knew; none where its folder is gone."""
    path = manifest.folder_of(vault) / manifest.DEVELOPMENT_FILE
    return np.fromfile(path, "<u8") if path.exists() else np.zeros(0, "<u8")


def _changed_rows(
    record: dict[str, Any], forms: RowForms, digests: RowArray, by_content: Mask, development: Mask
) -> tuple[Mask, Mask] | None:
    """Rows of a table that are sealed by most of their cells, and which of these have the sealed target.

    They are looked for where sealed rows are missing: a column was removed, renamed or changed, or a cell was mended.
    Rows that the vault knew as train or val rows are none.
    """
    num_found = len(np.unique(as_items(digests[np.flatnonzero(by_content)])))
    place = key_files.key_path(record["vault"], key_files.CELLS)
    if forms.cells is None or not place.exists() or num_found >= record["num_contents"]:
        return None
    is_other = ~by_content & ~development
    if not is_other.any():
        return None
    key = key_files.read_key(place, record["vault"], key_files.CELLS)
    sealed = np.fromfile(registry.cells_path(record["vault"]), "<u4").reshape(-1, len(record["cell_columns"]) + 1)
    target = hashes_of(target_words(forms.y, forms.class_names), key)
    found = known_by_cells(sealed, record["cell_columns"], forms.cells, target, key)
    return None if found is None else (found[0] & is_other, found[1] & is_other)


def _has_same_target(record: dict[str, Any], forms: RowForms, digests: RowArray, rows: Mask, key: bytes) -> bool | None:
    """Whether more than nine in ten of the different rows that are known have the target they were sealed with.

    A row that equals a sealed one may have another target and was left out for that: equal rows count once.

    Args:
        record: The vault's.
        forms: All rows.
        digests: (n, 16) over the vault's columns.
        rows: (n,) Those that are known by content.
        key: Of the fingerprints.
    """
    places = np.flatnonzero(rows)
    if not len(places):
        return None
    content = digests[places]
    targeted = targeted_digests(content, forms.y[places], forms.class_names)
    known = fingerprints.Known(fingerprints.read_records(registry.targets_path(record["vault"])), certain=False)
    agrees = known.has(fingerprints.fingerprints_of(targeted, key))
    items = as_items(content)
    return len(np.unique(items[agrees])) > SAME_TARGET_SHARE * len(np.unique(items))


def new_rows(vault: str, digests: RowArray, test: Mask) -> Mask | None:
    """(n,) Which rows are neither sealed in a vault nor were in its train and val rows; None where all are."""
    is_new = ~test & ~np.isin(sketch.keys_of(digests), _development_keys(vault))
    return is_new if is_new.any() else None


def count_sealed(forms: Sequence[RowArray]) -> dict[str, int]:
    """How many of some rows are sealed for certain, by vault in force; vaults with none of them are left out.

    Args:
        forms: (n, 16) digests of the rows, in one or several forms; a match of any is a match.
    """
    counts = _count(forms, [record["vault"] for record in in_force()])
    return {vault: count for vault, count in counts.items() if count}


def ended_vaults(forms: RowForms, rows: Mask) -> list[str]:
    """Vaults that were superseded or destroyed and had some of these `rows`, and what those descend from."""
    found: list[str] = []
    for status in ("burnt", "destroyed"):
        for record in _in_status(status):
            chosen = [form[np.flatnonzero(rows)] for form in (forms.over(record["columns"]), *forms.others)]
            if _count(chosen, [record["vault"]])[record["vault"]]:
                found += [*record["lineage"], record["vault"]]
    return list(dict.fromkeys(found))


def folder_of(record: Mapping[str, Any]) -> Any:
    """Where a vault in force lies.

    Raises:
        VaultRefused: Its folder is gone.
    """
    folder = manifest.folder_of(record["vault"])
    if not folder.is_dir():
        what = f"holds these rows, and its folder is gone from {places.vaults()}"
        name = f"vault {record['vault'][:8]} ({record['name']})"
        raise VaultRefused(name, what, next="restore the folder from a copy")
    return folder


def _count(forms: Sequence[RowArray], vaults: Collection[str]) -> dict[str, int]:
    """For each vault, how many rows are sealed in it for certain, by any of their forms."""
    counts = dict.fromkeys(vaults, 0)
    key_of = {vault: fingerprint_key(vault) for vault in vaults}
    known = {
        vault: fingerprints.Known(fingerprints.read_records(registry.fingerprints_path(vault))) for vault in vaults
    }
    for start in range(0, len(forms[0]) if vaults else 0, BLOCK_ROWS):
        blocks = [form[start : start + BLOCK_ROWS] for form in forms]
        # Vaults of one home have one key: a row is fingerprinted once for all of them.
        prints = {key: [fingerprints.fingerprints_of(block, key) for block in blocks] for key in set(key_of.values())}
        for vault in vaults:
            counts[vault] += int(np.logical_or.reduce([known[vault].has(one) for one in prints[key_of[vault]]]).sum())
    return counts


def _in_status(status: str) -> list[dict[str, Any]]:
    return [record for record in registry.records() if record["status"] == status]
