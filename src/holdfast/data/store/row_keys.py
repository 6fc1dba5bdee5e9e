"""What a data set's rows are known by: digests in several forms, and which rows must stay on one side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.rows import Rows, blocks_of
from holdfast.data.spool import Spool
from holdfast.data.store import overlaps
from holdfast.vault.rows.arrays import RowArray
from holdfast.vault.rows.canonical_cells import Cells
from holdfast.vault.rows.digest_sets import ascending
from holdfast.vault.rows.fingerprints import is_common_row
from holdfast.vault.rows.identity import DIGEST_BYTES, row_digests, table_digests
from holdfast.vault.sealing import STORED, TARGETED

Digests = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class RowIdentity:
    """Of all rows.

    Attributes:
        digests: (n, 16) what the source holds.
        forms: Further digests, by name: with the target, and as the rows are stored.
        units: (n, 16) one digest for all rows that stay on one side.
        columns: The columns that `digests` are over, of a table that names them.
        by_columns: (n, 16) digests by the columns that they are over: those of vaults in force.
    """

    digests: RowArray
    forms: dict[str, RowArray]
    units: RowArray
    columns: tuple[str, ...] = ()
    by_columns: Mapping[tuple[str, ...], RowArray] = field(default_factory=dict)


class Digested:
    """Digests that are taken where they are read: most of them never are."""

    def __init__(self, num_rows: int, digests_of: Callable[[Any], Digests]) -> None:
        self._digests_of = digests_of
        self.shape: tuple[int, ...] = (num_rows, DIGEST_BYTES)
        self.dtype, self.ndim, self.nbytes = np.dtype(np.uint8), 2, num_rows * DIGEST_BYTES

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: Any, /) -> Digests:
        return self._digests_of(place)


def identity_of(rows: Rows) -> RowIdentity:
    """Take the digests that the source has not given."""
    digests = rows.source_digests if rows.source_digests is not None else _source_digests(rows)
    forms: dict[str, RowArray] = {}
    if rows.kind == "table" and rows.y.ndim == 1:
        given = rows.full_digests
        forms[TARGETED] = given if given is not None else Digested(len(rows.x), lambda place: _targeted(rows, place))
    labels = [] if rows.groups is None else [rows.groups]
    # Rows that differ in what is left out are one row to a model: they stay on one side. But where the columns allow
    # few different rows, equal ones say nothing, and would tie all groups together.
    ties_groups = bool(labels) and bool(is_common_row(rows.x, rows.kind).all())
    if rows.source_digests is not None and not ties_groups:
        labels.append(_classes(np.concatenate([row_digests(block, kind=rows.kind) for _, block in blocks_of(rows.x)])))
    if not labels:
        return RowIdentity(digests, forms, digests, rows.digested_columns, rows.digests_by_columns)
    whole = digests[:]
    units: RowArray = overlaps.units_of(whole, *labels)
    units = digests if units is whole else units
    return RowIdentity(digests, forms, units, rows.digested_columns, rows.digests_by_columns)


def with_stored(identity: RowIdentity, rows: Rows, x: RowArray) -> dict[str, RowArray]:
    """The forms of an identity, and that of the rows as they are stored in `x`."""
    is_given, names = rows.source_digests is not None, list(rows.feature_names)
    is_as_stored = rows.kind != "table" or (x is rows.x and names == sorted(names))
    if is_as_stored and not is_given:
        return identity.forms
    return {**identity.forms, STORED: Digested(len(x), lambda place: row_digests(x[place], kind=rows.kind))}


def _source_digests(rows: Rows) -> RowArray:
    """Digests of rows from what is stored of them; in a spool where they are many."""
    is_table = rows.kind == "table"
    digests = Spool((DIGEST_BYTES,), np.uint8)
    for _, block in blocks_of(rows.x):
        digests.append(table_digests(_cells(rows, block)) if is_table else row_digests(block, kind=rows.kind))
    return digests.settled()


def _targeted(rows: Rows, place: Any) -> Digests:
    """Digests with the target as one more column: they know a file again in which another column is the target."""
    y = rows.y[place]
    target: Cells = (y, rows.class_names) if rows.class_names else y
    return table_digests({**_cells(rows, rows.x[place]), rows.target_name: target})


def _cells(rows: Rows, block: NDArray[Any]) -> Mapping[str, Cells]:
    """The cells of stored rows; columns without names keep their order."""
    names = rows.feature_names or [f"{index:08d}" for index in range(block.shape[1])]
    cells: dict[str, Cells] = {name: block[:, index] for index, name in enumerate(names)}
    for index, column in enumerate(rows.columns):
        if column.type == "category":
            cells[column.name] = (block[:, index].astype(np.int64), column.categories)
    return cells


def _classes(digests: Digests) -> NDArray[np.int64]:
    """(n,) The number of the class of equal digests that each is in."""
    order = ascending(digests)
    is_new = np.zeros(len(order), np.int64)
    is_new[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    classes = np.empty(len(order), np.int64)
    classes[order] = np.cumsum(is_new)
    return classes
