"""Digests that the rows of a table are known by, over columns that are decided when a vault is sealed.

All columns count but targets, columns that say parts, and constants. Identifiers, texts or whole numbers that never
repeat, are left out as well where the other columns tell the rows apart: so renumbered rows are known again. A later
table is digested over the columns of each vault that it has, whatever else is in it: an index, a new feature.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.encrypted_spool import Spool
from holdfast.data.tables.cells import kind_of, raw_cells, texts_of
from holdfast.data.tables.raw_table import RawTable
from holdfast.data.tables.settings import TableSettings, is_part
from holdfast.vault.known_rows import Columns
from holdfast.vault.rows.canonical_cells import Cells, words_of
from holdfast.vault.rows.cell_hashes import TableCells
from holdfast.vault.rows.digest_sets import digest_blocks, first_words
from holdfast.vault.rows.identity import DIGEST_BYTES, RowArray, table_digests

# Where more rows than this are equal, columns do not tell rows apart.
MOST_EQUAL = 0.05
FEWEST_COLUMNS = 2


def identity_columns(table: RawTable, settings: TableSettings, others: Collection[Columns]) -> dict[Columns, RowArray]:
    """Digests by columns: first the table's own, then those that vaults go by, where it has their columns."""
    names = [name for name in table.names if name not in settings.target]
    constant, distinct, parts = _kinds(table, names)
    own = [name for name in names if name not in parts] or names
    telling = [name for name in own if name not in constant] or own
    content = tuple(sorted(name for name in telling if name not in distinct))
    lists = [columns for columns in others if columns and set(columns) <= set(table.names)]
    wanted = {tuple(sorted(telling)), *lists}
    wanted |= {content} if len(content) >= FEWEST_COLUMNS else set()
    digests = digests_over(table, wanted)
    mine = content if content in digests and tells_rows_apart(digests[content]) else tuple(sorted(telling))
    by_columns = {mine: digests[mine]} | {columns: digests[columns] for columns in lists}
    return by_columns | {(): _in_order(table, own)} if () in others else by_columns


def _in_order(table: RawTable, names: Sequence[str]) -> RowArray:
    """(n, 16) digests over columns in the order of the table: what rows are known by where columns have no names."""
    spool = Spool((DIGEST_BYTES,), np.uint8)
    for _, batch in table.blocks(names):
        spool.append(table_digests(in_order({name: raw_cells(batch.column(name)) for name in batch.schema.names})))
    return spool.settled()


def in_order(cells: Mapping[str, Cells]) -> dict[str, Cells]:
    """The cells of columns without names: under the place of each."""
    return {f"{place:08d}": column for place, column in enumerate(cells.values())}


def table_cells(table: RawTable, settings: TableSettings) -> TableCells:
    """The cells of a table but for its targets, to be known one by one."""
    import pyarrow as pa

    def blocks(columns: Sequence[str], rows: NDArray[np.bool_] | None) -> Iterator[NDArray[np.uint8]]:
        for start, whole in table.blocks(columns):
            chosen = None if rows is None else pa.array(rows[start : start + whole.num_rows])
            batch = whole if chosen is None else whole.filter(chosen)
            yield np.stack([words_of(raw_cells(batch.column(name)))[0] for name in columns], axis=1)

    return TableCells(tuple(name for name in table.names if name not in settings.target), blocks)


def digests_over(table: RawTable, lists: Iterable[Columns]) -> dict[Columns, RowArray]:
    """(n, 16) digests over each list of columns, in one pass."""
    spools = {columns: Spool((DIGEST_BYTES,), np.uint8) for columns in lists if columns}
    for _, batch in table.blocks(sorted({name for columns in spools for name in columns})):
        cells = {name: raw_cells(batch.column(name)) for name in batch.schema.names}
        for columns, spool in spools.items():
            spool.append(table_digests({name: cells[name] for name in columns}))
    return {columns: spool.settled() for columns, spool in spools.items()}


def tells_rows_apart(digests: RowArray) -> bool:
    """Tell whether hardly any row equals another."""
    words = np.concatenate([first_words(block) for _, block in digest_blocks(digests)])
    return len(np.unique(words)) >= (1.0 - MOST_EQUAL) * len(words)


def _kinds(table: RawTable, names: Sequence[str]) -> tuple[set[str], set[str], set[str]]:
    """The columns that are constant, those of texts or whole numbers that never repeat, and those that say parts."""
    first: dict[str, bytes] = {}
    constant, distinct, parts = set(names), set(names), set(names)
    for _, batch in table.blocks(names):
        for name in constant | distinct | parts:
            array = batch.column(name)
            if name in parts and not says_parts(array):
                parts.discard(name)
            if not (name in constant or name in distinct):
                continue
            words, is_text = words_of(raw_cells(array))
            start = first.setdefault(name, words[0].tobytes())
            if (words != np.frombuffer(start, np.uint8)).any():
                constant.discard(name)
            if name in distinct and not _may_name_rows(words, is_text):
                distinct.discard(name)
    return constant, {name for name in distinct if _never_repeats(table, name)}, parts


def says_parts(array: Any) -> bool:
    """Tell whether cells are words for parts alone."""
    if kind_of(array.type) != "text":
        return False
    texts = [text for text in texts_of(array, ())[1] if text]
    return bool(texts) and all(map(is_part, texts))


def _may_name_rows(words: NDArray[np.uint8], is_text: NDArray[np.bool_]) -> bool:
    """Tell whether words are texts or whole numbers, none of them missing, and none of them twice."""
    numbers = np.ascontiguousarray(words[~is_text, :8]).view("<f8").ravel()
    if not (np.isfinite(numbers) & (numbers == np.rint(numbers))).all():
        return False
    return len(np.unique(np.ascontiguousarray(words).view("V16"))) == len(words)


def _never_repeats(table: RawTable, name: str) -> bool:
    words = [first_words(words_of(raw_cells(batch.column(0)))[0]) for _, batch in table.blocks([name])]
    whole = np.concatenate(words)
    return len(np.unique(whole)) == len(whole)


def id_digests(table: RawTable, columns: Collection[str]) -> RowArray:
    """(n, 16) digests of the columns that name a row, with their names."""
    spool = Spool((DIGEST_BYTES,), np.uint8)
    for _, batch in table.blocks(sorted(columns)):
        cells = {name: raw_cells(batch.column(name)) for name in batch.schema.names}
        named = (np.zeros(batch.num_rows, np.int64), ["the row called " + ", ".join(sorted(columns))])
        spool.append(table_digests({**cells, "": named}))
    return spool.settled()
