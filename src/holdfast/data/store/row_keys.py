"""The digests that a data set's rows are known by, which of them prove nothing, and which rows stay on one side.

The rows of a table are known over columns that are decided when a vault is sealed. All count but targets, columns that
say parts, and constants. Identifiers, texts or whole numbers that never repeat, are left out as well where the other
columns tell the rows apart: so renumbered rows are known again. A later table is digested over the columns of each
vault that it has, whatever else is in it: an index, a new feature.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.arrow import pa, pc
from holdfast.data.columns import unnamed
from holdfast.data.encrypted_spool import Spool
from holdfast.data.rows import ArrayRows, EncodedImages, Rows, blocks_of
from holdfast.data.tables.cells import kind_of, numbers_of, raw_cells
from holdfast.data.tables.raw_table import RawTable
from holdfast.data.tables.settings import PART_WORDS
from holdfast.vault.known_rows import Columns, RowForms, column_lists
from holdfast.vault.rows.canonical_cells import Cells, words_of
from holdfast.vault.rows.cell_hashes import TableCells
from holdfast.vault.rows.digest_sets import as_items, digest_blocks, equal_to_marked, first_words
from holdfast.vault.rows.identity import DIGEST_BYTES, RowArray, row_digests, table_digests

Digests = NDArray[np.uint8]
Mask = NDArray[np.bool_]
# A table of columns that together allow fewer than 2**20 different rows has no row that proves anything.
SAMPLE_ROWS = 100_000
MIN_BITS = 20
FEW_VALUES = 8
# Where more rows than this are equal, columns do not tell rows apart.
MOST_EQUAL = 0.05
FEWEST_COLUMNS = 2
THUMBNAIL_SIDE = 16
MAX_DISTANCE = 12  # of two looks of 256 bits that are almost the same


def forms_of(rows: Rows, locked: Collection[Columns] = ()) -> RowForms:
    """The rows in the forms in which they may be known: by the columns of vaults in force, and by `locked` ones."""
    cells = _table_cells(rows) if rows.kind == "table" else None
    if rows.table is None:
        digests = rows.digests if rows.digests is not None else _spooled(_array_digests(rows))
        return RowForms(digests, rows.y, rows.class_names, _names(rows), others=rows.other_digests, cells=cells)
    assert rows.settings is not None
    by_columns = _identity_columns(rows, rows.table, {*column_lists(), *locked})
    columns, digests = next(iter(by_columns.items()))
    others = (_id_digests(rows.table, rows.settings.id),) if rows.settings.id else ()
    return RowForms(digests, rows.y, rows.class_names, columns, by_columns, others, cells)


def raw_rows(rows: Rows, forms: RowForms) -> RawTable | EncodedImages | ArrayRows:
    """The rows as they are sealed."""
    if rows.table is not None:
        return rows.table
    if rows.images is not None:
        return rows.images
    assert rows.x is not None
    is_as_read = rows.digests is None and rows.kind != "table"
    return ArrayRows(rows.x, forms.digests if is_as_read else None, rows.kind)


def common_rows(rows: Rows) -> Mask:
    """(n,) Rows that prove nothing when they turn up in other data: columns of few values, or one value all over."""
    if rows.table is None:
        assert rows.x is not None
        return is_common_row(rows.x, rows.kind)
    blocks, seen = [], 0
    for _, batch in rows.table.blocks(_feature_names(rows)):
        blocks.append(np.column_stack([_sampled(array) for array in batch.columns]))
        seen += batch.num_rows
        if seen >= SAMPLE_ROWS:
            break
    return np.full(len(rows), bool(is_common_row(np.concatenate(blocks), "table").all()))


def is_common_row(x: RowArray, kind: str) -> Mask:
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


def _is_flat(block: NDArray[Any]) -> Mask:
    rows = block.reshape(len(block), -1)
    return np.asarray(((rows == rows[:, :1]) | (rows != rows)).all(axis=1))  # noqa: PLR0124 - NaN is like any value


def _sampled(array: Any) -> NDArray[np.float64]:
    """Cells as numbers, texts by their codes."""
    numbers = numbers_of(array, ())
    if not numbers.is_text.any():
        return numbers.values
    return np.asarray(array.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False), np.float64)


def units_of(digests: RowArray, groups: NDArray[np.int64] | None, is_new: Mask | None = None) -> RowArray:
    """(n, 16) One digest for all rows that must stay on one side: equal rows, and rows of one group.

    It is the least digest among them, so that it depends on no order.

    Args:
        digests: (n, 16) of the rows.
        groups: (n,) numbers; None: none are declared.
        is_new: (n,) Rows that were appended: the digest is that of a row that was there before, where there is one.
    """
    numbers = np.zeros(0, np.int64) if groups is None else np.unique(groups, return_inverse=True)[1]
    is_linked = np.bincount(numbers)[numbers] > 1
    if not is_linked.any():
        return digests
    # Rows with the digest of a linked one come along, whatever their own group.
    rows = np.flatnonzero(is_linked | equal_to_marked(digests, is_linked))
    units = np.array(digests[:])
    new = np.zeros(len(rows), bool) if is_new is None else is_new[rows]
    units[rows] = _joined_units(units[rows], numbers[rows], new)
    return units


def _joined_units(digests: NDArray[np.uint8], groups: NDArray[np.int64], is_new: Mask) -> NDArray[np.uint8]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, row_of = np.unique(as_items(digests), return_inverse=True)  # numbers that ascend with the digests
    group_of = groups + int(row_of.max()) + 1
    num_nodes = int(group_of.max()) + 1
    graph = coo_array((np.ones(len(groups), bool), (row_of, group_of)), shape=(num_nodes, num_nodes))
    part_of = connected_components(graph, directed=False)[1][row_of]
    order = np.lexsort((row_of, is_new, part_of))
    is_first = np.ones(len(order), bool)
    is_first[1:] = part_of[order][1:] != part_of[order][:-1]
    least = np.zeros(num_nodes, np.int64)
    least[part_of[order][is_first]] = order[is_first]
    return np.ascontiguousarray(digests[least[part_of]])


# --- images of almost the same look ----------------------------------------------------------------------------------


def count_near_duplicates(x: RowArray, test: Mask, development: Mask) -> int:
    """Test images that have a development image of almost the same look.

    Differences of neighbours in a 16 x 17 thumbnail (dHash, Krawetz 2013), 256 bits; near is at most 12 apart.
    """
    from sklearn.metrics import pairwise_distances_argmin_min

    looks = np.concatenate([perceptual_hashes(block) for _, block in blocks_of(x)])
    if not test.any() or not development.any():
        return 0
    _, distances = pairwise_distances_argmin_min(looks[test], looks[development], metric="sqeuclidean")
    return int((np.rint(distances) <= MAX_DISTANCE).sum())


def perceptual_hashes(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 256) The dHash of (n, H, W, C) images of 16 x 17 pixels or more, as numbers 0 and 1."""
    grey = images.mean(axis=3, dtype=np.float32)
    rows = np.stack([part.mean(axis=1) for part in np.array_split(grey, THUMBNAIL_SIDE, axis=1)], axis=1)
    thumbnails = np.stack([part.mean(axis=2) for part in np.array_split(rows, THUMBNAIL_SIDE + 1, axis=2)], axis=2)
    return (thumbnails[:, :, 1:] > thumbnails[:, :, :-1]).reshape(len(images), -1).astype(np.float32)


def has_thumbnails(x: RowArray) -> bool:
    """Tell whether images are large enough to be compared by their look."""
    return x.ndim == 4 and x.dtype == np.uint8 and x.shape[1] >= THUMBNAIL_SIDE and x.shape[2] > THUMBNAIL_SIDE


# --- cells of a table, in arrays or in files --------------------------------------------------------------------------


def _names(rows: Rows) -> tuple[str, ...]:
    """The names of the columns of a table in an array, in order; none where it has none of its own."""
    return () if list(rows.feature_names) == unnamed(len(rows.columns)) else tuple(sorted(rows.feature_names))


def _feature_names(rows: Rows) -> tuple[str, ...]:
    """The columns of a table but for its targets."""
    if rows.table is None:
        return rows.feature_names
    assert rows.settings is not None
    return tuple(name for name in rows.table.names if name not in rows.settings.target)


def _cells(rows: Rows, names: Sequence[str] | None = None, chosen: Mask | None = None) -> Iterator[dict[str, Cells]]:
    """The cells of all columns of a table or of some, a few rows at a time; of all rows, or of chosen ones."""
    if rows.table is not None:
        for start, whole in rows.table.blocks(names):
            batch = whole if chosen is None else whole.filter(pa.array(chosen[start : start + whole.num_rows]))
            yield _raw_cells(batch)
        return
    assert rows.x is not None
    for start, whole in blocks_of(rows.x):
        block = whole if chosen is None else whole[chosen[start : start + len(whole)]]
        yield {
            column.name: values if column.type == "number" else (values.astype(np.int64), column.categories)
            for column, values in zip(rows.columns, block.T, strict=True)
            if names is None or column.name in names
        }


def _raw_cells(batch: Any) -> dict[str, Cells]:
    return {name: raw_cells(batch.column(name)) for name in batch.schema.names}


def _table_cells(rows: Rows) -> TableCells:
    """The cells of a table but for its targets, to be known one by one."""

    def blocks(columns: Sequence[str], chosen: Mask | None) -> Iterator[Digests]:
        for cells in _cells(rows, columns, chosen):
            yield np.stack([words_of(cells[name])[0] for name in columns], axis=1)

    return TableCells(_feature_names(rows), blocks)


def _in_order(cells: Mapping[str, Cells]) -> dict[str, Cells]:
    """The cells of columns without names: under the place of each."""
    return {f"{place:08d}": column for place, column in enumerate(cells.values())}


def _array_digests(rows: Rows) -> Iterator[Digests]:
    assert rows.x is not None
    if rows.kind != "table":
        return (row_digests(block, kind=rows.kind) for _, block in blocks_of(rows.x))
    return (table_digests(cells if _names(rows) else _in_order(cells)) for cells in _cells(rows))


def _spooled(blocks: Iterable[Digests]) -> RowArray:
    """(n, 16) digests that come block by block; in a spool where they are many."""
    spool = Spool((DIGEST_BYTES,), np.uint8)
    for block in blocks:
        spool.append(block)
    return spool.settled()


def _identity_columns(rows: Rows, table: RawTable, others: Collection[Columns]) -> dict[Columns, RowArray]:
    """Digests by columns: first the table's own, then those that vaults go by, where it has their columns."""
    names = _feature_names(rows)
    constant, distinct, parts = _kinds(table, names)
    own = [name for name in names if name not in parts] or names
    telling = [name for name in own if name not in constant] or own
    content = tuple(sorted(name for name in telling if name not in distinct))
    lists = [columns for columns in others if columns and set(columns) <= set(table.names)]
    wanted = {tuple(sorted(telling)), *lists}
    wanted |= {content} if len(content) >= FEWEST_COLUMNS else set()
    digests = _digests_over(rows, wanted)
    mine = content if content in digests and _tells_rows_apart(digests[content]) else tuple(sorted(telling))
    by_columns = {mine: digests[mine]} | {columns: digests[columns] for columns in lists}
    if () in others:  # rows of a vault whose columns have no names are known in the order of their columns
        by_columns[()] = _spooled(table_digests(_in_order(cells)) for cells in _cells(rows, own))
    return by_columns


def _digests_over(rows: Rows, lists: Collection[Columns]) -> dict[Columns, RowArray]:
    """(n, 16) digests over each list of columns, in one pass."""
    spools = {columns: Spool((DIGEST_BYTES,), np.uint8) for columns in lists if columns}
    for cells in _cells(rows, sorted({name for columns in spools for name in columns})):
        for columns, spool in spools.items():
            spool.append(table_digests({name: cells[name] for name in columns}))
    return {columns: spool.settled() for columns, spool in spools.items()}


def _id_digests(table: RawTable, columns: Collection[str]) -> RowArray:
    """(n, 16) digests of the columns that name a row, with their names."""
    call = "the row called " + ", ".join(sorted(columns))
    return _spooled(
        table_digests({**_raw_cells(batch), "": (np.zeros(batch.num_rows, np.int64), [call])})
        for _, batch in table.blocks(sorted(columns))
    )


def _tells_rows_apart(digests: RowArray) -> bool:
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
            words, is_text = words_of(raw_cells(array))
            if name in parts and not (is_text.any() and _says_parts(array)):
                parts.discard(name)
            start = first.setdefault(name, words[0].tobytes())
            if (words != np.frombuffer(start, np.uint8)).any():
                constant.discard(name)
            if name in distinct and not _may_name_rows(words, is_text):
                distinct.discard(name)
    return constant, {name for name in distinct if _never_repeats(table, name)}, parts


def _says_parts(array: Any) -> bool:
    """Tell whether cells are words for parts alone."""
    if kind_of(array.type) != "text":
        return False
    texts = {str(text).strip().lower() for text in pc.unique(array).to_pylist() if text is not None} - {""}
    return bool(texts) and texts <= PART_WORDS.keys()


def _may_name_rows(words: Digests, is_text: Mask) -> bool:
    """Tell whether words are texts or whole numbers, none of them missing, and none of them twice."""
    numbers = np.ascontiguousarray(words[~is_text, :8]).view("<f8").ravel()
    if not (np.isfinite(numbers) & (numbers == np.rint(numbers))).all():
        return False
    return len(np.unique(np.ascontiguousarray(words).view("V16"))) == len(words)


def _never_repeats(table: RawTable, name: str) -> bool:
    words = [first_words(words_of(raw_cells(batch.column(0)))[0]) for _, batch in table.blocks([name])]
    return len(np.unique(np.concatenate(words))) == sum(map(len, words))
