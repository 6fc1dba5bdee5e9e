"""Arrays of rows, whether they are in memory, in a file or made as they are read."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


class RowArray(Protocol):
    """An array of rows, or what gives rows as it is indexed, by slices and by arrays of numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, then the shape of one."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    @property
    def nbytes(self) -> int:
        """The size of all rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: Any, /) -> Array: ...
