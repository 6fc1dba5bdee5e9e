"""The ranges of the numbers in columns, block by block: whether they vary, and whether float32 tells them apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# float32 is enough where its rounding is so small a part of the range of a column.
ROUNDING_SHARE = 2e-4
EPSILON = float(np.finfo(np.float32).eps) / 2
LARGEST = float(np.finfo(np.float32).max)


class Ranges:
    """Extremes and missing cells of the columns of a table."""

    def __init__(self, width: int) -> None:
        self._least = np.full(width, np.inf)
        self._most = np.full(width, -np.inf)
        self._has_missing = np.zeros(width, bool)
        self._whole = np.ones(width, bool)

    def add(self, block: NDArray[np.float64]) -> None:
        """Take in (n, columns) numbers; NaN where missing."""
        self._least = np.fmin(self._least, np.fmin.reduce(block, axis=0))  # the least of what is no NaN
        self._most = np.fmax(self._most, np.fmax.reduce(block, axis=0))
        self._has_missing |= np.isnan(block).any(axis=0)
        self._whole &= (np.rint(block) == block).all(axis=0)

    def is_constant(self, column: int) -> bool:
        """Tell whether a column says nothing: one value in every row, or none in any."""
        is_empty = self._least[column] > self._most[column]
        return bool(is_empty or (self._least[column] == self._most[column] and not self._has_missing[column]))

    def is_single(self, column: int) -> bool:
        """Tell whether the cells of a column that are not missing are all one value."""
        return bool(self._least[column] >= self._most[column])

    def is_whole(self, column: int) -> bool:
        """Tell whether a column holds whole numbers only, none missing."""
        return bool(self._whole[column])

    def needs_double(self, columns: Sequence[int]) -> bool:
        """Tell whether float32 would lose what distinguishes the values of one of the columns."""
        least, most = self._least[list(columns)], self._most[list(columns)]
        largest = np.maximum(np.abs(least), np.abs(most))
        with np.errstate(over="ignore", invalid="ignore"):
            loses = (most > least) & (largest * EPSILON > ROUNDING_SHARE * (most - least))
        return bool((loses | (np.isfinite(largest) & (largest > LARGEST))).any())
