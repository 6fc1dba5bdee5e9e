"""The ranges of the numbers in columns, block by block: whether they vary, and whether float32 tells them apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# float32 is enough where its rounding is a thousandth of the spread of a column, or less.
ROUNDING_SHARE = 1e-3
EPSILON = float(np.finfo(np.float32).eps) / 2
LARGEST = float(np.finfo(np.float32).max)


class Ranges:
    """Extremes, spread and missing cells of the columns of a table."""

    def __init__(self, width: int) -> None:
        self._count = np.zeros(width)
        self._missing = np.zeros(width)
        self._least = np.full(width, np.inf)
        self._most = np.full(width, -np.inf)
        self._origin: NDArray[np.float64] | None = None
        self._sum = np.zeros(width)
        self._squares = np.zeros(width)
        self._whole = np.ones(width, bool)

    def add(self, block: NDArray[np.float64]) -> None:
        """Take in (n, columns) numbers; NaN where missing."""
        missing = np.isnan(block)
        self._count += len(block)
        self._missing += missing.sum(axis=0)
        self._least = np.fmin(self._least, np.fmin.reduce(block, axis=0))  # the least of what is no NaN
        self._most = np.fmax(self._most, np.fmax.reduce(block, axis=0))
        if self._origin is None:
            self._origin = np.where(np.isfinite(self._least), self._least, 0.0)
        with np.errstate(over="ignore"):
            shifted = block - self._origin
            shifted[missing] = 0.0
            self._sum += shifted.sum(axis=0)
            self._squares += np.square(shifted, out=shifted).sum(axis=0)
        self._whole &= (np.rint(block) == block).all(axis=0)

    def is_constant(self, column: int) -> bool:
        """Tell whether a column says nothing: one value in every row, or none in any."""
        if self._missing[column]:
            return bool(self._missing[column] == self._count[column])
        return bool(self._least[column] == self._most[column])

    def is_whole(self, column: int) -> bool:
        """Tell whether a column holds whole numbers only, none missing."""
        return bool(self._whole[column])

    def needs_double(self, columns: Sequence[int]) -> bool:
        """Tell whether float32 would lose what distinguishes the values of one of the columns."""
        at = np.asarray(columns, np.int64)
        largest = np.maximum(np.abs(self._least[at]), np.abs(self._most[at]))
        known = np.maximum(self._count[at] - self._missing[at], 1)
        with np.errstate(over="ignore", invalid="ignore"):
            variance = self._squares[at] / known - np.square(self._sum[at] / known)
            rounding = largest * EPSILON
            loses = (rounding > ROUNDING_SHARE * np.sqrt(np.maximum(variance, 0.0))) & (
                self._most[at] > self._least[at]
            )
            return bool((loses | (np.isfinite(largest) & (largest > LARGEST))).any())
