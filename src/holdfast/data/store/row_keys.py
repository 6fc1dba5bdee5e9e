"""The digests that a data set's rows are known by, and which of them prove nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.columns import unnamed
from holdfast.data.encrypted_spool import Spool
from holdfast.data.raw import ArrayRows, EncodedImages
from holdfast.data.rows import Rows, blocks_of
from holdfast.data.tables.cells import numbers_of
from holdfast.data.tables.raw_table import RawTable
from holdfast.data.tables.row_identity import id_digests, identity_columns, in_order, table_cells
from holdfast.vault.known_rows import Columns, RowForms, column_lists
from holdfast.vault.rows.canonical_cells import Cells, words_of
from holdfast.vault.rows.cell_hashes import TableCells
from holdfast.vault.rows.identity import DIGEST_BYTES, RowArray, row_digests, table_digests

Digests = NDArray[np.uint8]
SAMPLE_ROWS = 100_000
MIN_BITS = 20
FEW_VALUES = 8


def forms_of(rows: Rows, locked: Collection[Columns] = ()) -> RowForms:
    """All rows in the forms in which they may be known: by the columns of vaults in force, and by `locked` ones."""
    if rows.table is None:
        digests = rows.digests if rows.digests is not None else _array_digests(rows)
        cells = _array_cells(rows) if rows.kind == "table" else None
        return RowForms(digests, rows.y, rows.class_names, _names(rows), others=rows.other_digests, cells=cells)
    assert rows.settings is not None
    by_columns = identity_columns(rows.table, rows.settings, {*column_lists(), *locked})
    columns, digests = next(iter(by_columns.items()))
    names = rows.settings.id
    others = (id_digests(rows.table, names),) if names else ()
    cells = table_cells(rows.table, rows.settings)
    return RowForms(digests, rows.y, rows.class_names, columns, by_columns, others, cells)


def _names(rows: Rows) -> tuple[str, ...]:
    """The names of the columns of a table in an array, in order; none where it has none of its own."""
    return () if list(rows.feature_names) == unnamed(len(rows.columns)) else tuple(sorted(rows.feature_names))


def raw_rows(rows: Rows, forms: RowForms) -> RawTable | EncodedImages | ArrayRows:
    """The rows as they are sealed."""
    if rows.table is not None:
        return rows.table
    if rows.images is not None:
        return rows.images
    assert rows.x is not None
    is_as_read = rows.digests is None and rows.kind != "table"
    return ArrayRows(rows.x, forms.digests if is_as_read else None, rows.kind)


def common_rows(rows: Rows) -> NDArray[np.bool_]:
    """(n,) Rows that prove nothing when they turn up in other data: columns of few values, or one value all over."""
    if rows.table is None:
        assert rows.x is not None
        return is_common_row(rows.x, rows.kind)
    assert rows.settings is not None
    names = [name for name in rows.table.names if name not in rows.settings.target]
    blocks, seen = [], 0
    for _, batch in rows.table.blocks(names):
        blocks.append(np.column_stack([_sampled(batch.column(name)) for name in batch.schema.names]))
        seen += batch.num_rows
        if seen >= SAMPLE_ROWS:
            break
    return np.full(len(rows), bool(is_common_row(np.concatenate(blocks), "table").all()))


def is_common_row(x: RowArray, kind: str) -> NDArray[np.bool_]:
    """(n,) Rows that prove nothing when they turn up in other data: one value all over, or columns of too few values.

    Columns of whole numbers that together allow fewer than 2**20 different rows (a handful of yes-or-no answers) make
    every row common; a column of fractions, or of a different number in almost every row, does not.
    """
    is_flat = np.concatenate([np.zeros(0, bool), *(_is_flat(block) for _, block in blocks_of(x))])
    if kind != "table" or not len(x):
        return is_flat
    possible = 0.0
    for sample in x[:SAMPLE_ROWS].T:
        values = np.unique(sample[~np.isnan(sample)])
        if len(values) > max(FEW_VALUES, len(sample) / 2) or (values != np.rint(values)).any():
            return is_flat
        possible += np.log2(len(values) + np.isnan(sample).any())
        if possible >= MIN_BITS:
            return is_flat
    return np.ones(len(x), bool)


def _is_flat(block: NDArray[Any]) -> NDArray[np.bool_]:
    rows = block.reshape(len(block), -1)
    return np.asarray(((rows == rows[:, :1]) | (rows != rows)).all(axis=1))  # noqa: PLR0124 - NaN is like any value


def _sampled(array: Any) -> NDArray[np.float64]:
    """Cells as numbers, texts by their codes."""
    numbers = numbers_of(array, ())
    if numbers.is_text is None:
        return numbers.values
    return np.asarray(array.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False), np.float64)


def _array_digests(rows: Rows) -> RowArray:
    """Digests of arrays; in a spool where they are many."""
    assert rows.x is not None
    digests, names = Spool((DIGEST_BYTES,), np.uint8), _names(rows)
    for _, block in blocks_of(rows.x):
        if rows.kind == "table":
            cells = _cells(rows, block)
            digests.append(table_digests(cells if names else in_order(cells)))
        else:
            digests.append(row_digests(block, kind=rows.kind))
    return digests.settled()


def _array_cells(rows: Rows) -> TableCells:
    """The cells of a table in arrays, to be known one by one: a file that was stored as an array lost its names."""
    x = rows.x
    assert x is not None

    def blocks(columns: Sequence[str], chosen: NDArray[np.bool_] | None) -> Iterator[NDArray[np.uint8]]:
        for start, block in blocks_of(x):
            cells = _cells(rows, block if chosen is None else block[chosen[start : start + len(block)]])
            yield np.stack([words_of(cells[name])[0] for name in columns], axis=1)

    return TableCells(rows.feature_names, blocks)


def _cells(rows: Rows, block: NDArray[Any]) -> Mapping[str, Cells]:
    """The cells of a table in arrays."""
    return {
        column.name: values if column.type == "number" else (values.astype(np.int64), column.categories)
        for column, values in zip(rows.columns, block.T, strict=True)
    }
