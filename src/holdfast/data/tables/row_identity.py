"""Digests of a table's rows, taken while its blocks are read.

A vault remembers the columns that its rows were digested over. A later table that has all of them is digested over
these as well, whatever columns it has beside them: an index, a new feature.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from holdfast.data.spool import Spool
from holdfast.vault.known_rows import column_lists
from holdfast.vault.rows.arrays import RowArray
from holdfast.vault.rows.canonical_cells import Cells
from holdfast.vault.rows.digest_sets import digest_blocks, first_words
from holdfast.vault.rows.identity import DIGEST_BYTES, table_digests

Columns = tuple[str, ...]
# Where more rows than this are equal over a vault's columns, these describe no single row: they prove nothing.
MOST_EQUAL = 0.05


class TableIdentity:
    """Digests of rows, block by block.

    Attributes:
        columns: All columns but the targets, in order of their names.
        digests: (n, 16) over those.
        full_digests: (n, 16) over all columns, targets included.
    """

    def __init__(self, names: Collection[str], targets: Collection[str]) -> None:
        """Begin.

        Args:
            names: The columns of the table, but those that say parts.
            targets: Those of them that are predicted.
        """
        self.columns: Columns = tuple(sorted(name for name in names if name not in targets))
        self.digests, self.full_digests = Spool((DIGEST_BYTES,), np.uint8), Spool((DIGEST_BYTES,), np.uint8)
        self._by_columns = {
            columns: Spool((DIGEST_BYTES,), np.uint8)
            for columns in column_lists()
            if columns != self.columns and set(columns) <= set(names)
        }

    def add(self, cells: Mapping[str, Cells]) -> None:
        """Take in a block of canonical cells."""
        self.digests.append(table_digests({name: cells[name] for name in self.columns}))
        self.full_digests.append(table_digests(cells))
        for columns, digests in self._by_columns.items():
            digests.append(table_digests({name: cells[name] for name in columns}))

    def by_columns(self) -> dict[Columns, RowArray]:
        """(n, 16) digests by the columns that they are over: those of vaults in force, where they tell rows apart."""
        settled = {columns: digests.settled() for columns, digests in self._by_columns.items()}
        return {columns: digests for columns, digests in settled.items() if _tells_rows_apart(digests)}


def _tells_rows_apart(digests: RowArray) -> bool:
    words = np.concatenate([first_words(block) for _, block in digest_blocks(digests)])
    return len(np.unique(words)) >= (1.0 - MOST_EQUAL) * len(words)
