"""What the rows of a table are known by while its blocks are read: digests over the columns that count.

All columns count but the targets, those that say parts, and those that do not describe a row: a constant, a number
that counts the rows, an identifier. With or without such a column a table holds the same rows. Which columns those are
is guessed from the first block and proved by the others. A vault remembers the columns that counted when it was sealed;
a later table that has all of them is digested over these as well, whatever columns it has beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.formats.types import Conflict
from holdfast.data.spool import Spool
from holdfast.vault.known_rows import column_lists
from holdfast.vault.rows.canonical_cells import Cells, is_numeric, words_of
from holdfast.vault.rows.fingerprints import is_common_row
from holdfast.vault.rows.identity import DIGEST_BYTES, table_digests

MIN_ROWS = 10  # fewer say nothing of a column
MIN_COLUMNS = 2
COUNTS = "counts"  # the type of a conflict: the column is none of those that tell rows apart after all
Columns = tuple[str, ...]


class TableIdentity:
    """Digests of rows, block by block.

    Attributes:
        columns: The columns that count, by name.
        digests: (n, 16) over all columns but the targets.
        counted: (n, 16) over the columns that count; None where all do.
        by_columns: (n, 16) over the columns that count in a vault in force, where they are others.
    """

    def __init__(self, names: Sequence[str], telling: Mapping[str, bool]) -> None:
        """Begin.

        Args:
            names: The columns of the table that may count.
            telling: Those of them that seem to tell rows apart, and whether by being the same in every row.
        """
        self._telling = dict(telling)
        self.columns: Columns = tuple(sorted(name for name in names if name not in telling))
        self.digests = Spool((DIGEST_BYTES,), np.uint8)
        self.counted = Spool((DIGEST_BYTES,), np.uint8) if self._telling else None
        known = {tuple(sorted(names)), self.columns}
        self.by_columns = {
            columns: Spool((DIGEST_BYTES,), np.uint8)
            for columns in column_lists()
            if columns not in known and set(columns) <= set(names)
        }
        self._seen: dict[str, list[NDArray[np.uint64]]] = {name: [] for name in self._telling}

    def add(self, cells: Mapping[str, Cells]) -> None:
        """Take in a block: the canonical cells of the columns that may count."""
        self.digests.append(table_digests(cells))
        if self.counted is not None:
            self.counted.append(table_digests({name: cells[name] for name in self.columns}))
        for columns, digests in self.by_columns.items():
            digests.append(table_digests({name: cells[name] for name in columns}))
        for name, is_constant in self._telling.items():
            words = _words(cells[name])
            self._seen[name].append(np.unique(words) if is_constant else words)

    def prove(self) -> None:
        """Make sure that the columns that were left out tell rows apart in all blocks.

        Raises:
            Conflict: One does not.
        """
        for name, blocks in self._seen.items():
            words = np.concatenate(blocks)
            num_different = len(np.unique(words))
            if num_different != (1 if self._telling[name] else len(words)):
                raise Conflict(name, COUNTS)


def telling_apart(cells: Mapping[str, Cells]) -> dict[str, bool]:
    """The columns of a block that do not describe its rows, and whether each is a constant.

    A column of fractions describes, however different they are. Where the other columns allow few different rows, these
    alone would say nothing, and all columns count.
    """
    found: dict[str, bool] = {}
    for name, column in cells.items():
        words = _words(column)
        num_different = len(np.unique(words))
        if len(words) >= MIN_ROWS and num_different in (1, len(words)) and (num_different == 1 or _names(column)):
            found[name] = num_different == 1
    others = [_words(column) if isinstance(column, tuple) else column for n, column in cells.items() if n not in found]
    if (
        len(others) < MIN_COLUMNS
        or is_common_row(np.column_stack([_numbers(column) for column in others]), "table").all()
    ):
        return {}
    return found


def _numbers(column: NDArray[Any]) -> NDArray[np.float64]:
    """(n,) Small whole numbers in place of words."""
    if column.dtype != np.uint64:
        return np.asarray(column, np.float64)
    return np.unique(column, return_inverse=True)[1].astype(np.float64)


def _names(column: Cells) -> bool:
    """Whether cells can be names or numbers of rows: texts, or whole numbers, and none is missing."""
    if not is_numeric(column):
        return not isinstance(column, tuple) or bool((column[0] >= 0).all())
    numbers = np.asarray(column, np.float64)
    return bool((numbers == np.rint(numbers)).all())


def _words(column: Cells) -> NDArray[np.uint64]:
    """(n,) A number for every cell, equal where the cells are."""
    if is_numeric(column):
        return words_of(column)[0][:, :8].copy().view(np.uint64).ravel()
    return words_of(column)[0].copy().view(np.uint64)[:, 0].copy()
