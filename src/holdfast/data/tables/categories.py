"""Categories of stored tables: those that rows in the store have, so that it tells of none that only test rows have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from holdfast.data.columns import UNSEEN, Column
from holdfast.data.rows import blocks_of
from holdfast.data.tables.recoded_view import Recoded
from holdfast.vault.rows.arrays import RowArray


def reduced(x: RowArray, columns: Sequence[Column], rows: NDArray[np.bool_]) -> tuple[RowArray, tuple[Column, ...]]:
    """A table, and its columns, with the categories that some rows have; elsewhere the others are `UNSEEN`.

    Args:
        x: (n, d) all rows.
        columns: What their columns are.
        rows: (n,) The rows whose categories are kept.
    """
    used = {
        i: np.zeros(len(column.categories) + 1, bool) for i, column in enumerate(columns) if column.type == "category"
    }
    if not used:
        return x, tuple(columns)
    for start, block in blocks_of(x):
        chosen = block[rows[start : start + len(block)]]
        for index, is_used in used.items():
            is_used[np.unique(chosen[:, index]).astype(np.int64)] = True  # code -1 marks the last place
    kept, codes = list(columns), {}
    for index, found in used.items():
        is_used = found[:-1]
        texts = np.flatnonzero(is_used)
        kept[index] = replace(columns[index], categories=tuple(columns[index].categories[text] for text in texts))
        codes[index] = np.append(np.where(is_used, np.cumsum(is_used) - 1, UNSEEN), UNSEEN)
    return Recoded(x, range(len(columns)), codes), tuple(kept)
