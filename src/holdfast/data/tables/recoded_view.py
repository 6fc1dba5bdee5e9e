"""Rows of a table as they will be stored, over rows as they were read: some columns, with other codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Recoded:
    """An array-like view: columns are left out and codes replaced where rows are read.

    Attributes:
        shape: (n, columns).
        dtype: Of the numbers.
    """

    ndim = 2

    def __init__(self, rows: Any, columns: Sequence[int], tables: Mapping[int, NDArray[np.int64]]) -> None:
        """View `rows`, a `Spool` or an array.

        Args:
            rows: (n, d) numbers.
            columns: Which of the d columns there are, in this order.
            tables: For some of the d columns, what every code becomes.
        """
        self._rows = rows
        self._columns = list(columns)
        self._tables = {at: tables[column] for at, column in enumerate(self._columns) if column in tables}
        self.shape = (len(rows), len(self._columns))
        self.dtype = rows.dtype

    @property
    def nbytes(self) -> int:
        """The size of all rows."""
        return int(self.shape[0] * self.shape[1] * self.dtype.itemsize)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, place: Any) -> NDArray[Any]:
        return self._recoded(self._rows[place])

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All rows in order, a few MiB at a time."""
        return map(self._recoded, self._rows.blocks())

    def _recoded(self, rows: NDArray[Any]) -> NDArray[Any]:
        block: NDArray[Any] = np.take(rows, self._columns, axis=-1)
        for at, table in self._tables.items():
            block[..., at] = table[block[..., at].astype(np.int64)]
        return block
