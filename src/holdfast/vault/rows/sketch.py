"""A sketch of a set of rows: the smallest pseudo-random numbers of its digests (Cohen and Kaplan 2007, bottom-k).

It tells what share of the set is among other rows: to within 0.016 (one standard deviation) by 1,024 numbers. Rows that
prove nothing (`data.store.row_keys.is_common_row`) are not in it, so the sketch of a table of few values is empty.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from holdfast.vault.rows.arrays import RowArray
from holdfast.vault.rows.digest_sets import digest_blocks, order_keys

SIZE = 1024
SEED = 0x5E7C4  # not an order by which rows are chosen
MOSTLY = 0.5
FEWEST = 16  # numbers of a part of a sketch: of fewer no share is told


def keys_of(digests: RowArray) -> NDArray[np.uint64]:
    """(n,) The pseudo-random numbers of rows with (n, 16) digests."""
    return order_keys(digests, SEED)


def sketch_of(digests: RowArray, rows: NDArray[np.bool_]) -> list[str]:
    """The sketch of some of the rows with (n, 16) digests, as hex digits."""
    least = np.zeros(0, np.uint64)
    for start, block in digest_blocks(digests):
        chosen = keys_of(block)[rows[start : start + len(block)]]
        least = np.unique(np.concatenate([least, chosen]))[:SIZE]
    return [f"{key:016x}" for key in least.tolist()]


def share_among(sketch: Sequence[str], digests: RowArray) -> float:
    """The share of a sketch's rows that are among rows with (n, 16) digests; 0 of an empty sketch."""
    if not sketch:
        return 0.0
    keys = np.array([int(key, 16) for key in sketch], np.uint64)
    return float(np.isin(keys, keys_of(digests)).mean())


def in_common(one: Sequence[str], other: Sequence[str]) -> float:
    """The share of the smaller of two sets of rows that is in the other, from their sketches.

    A sketch that is full knows nothing beyond its largest number: there the other one's are not looked at.
    """
    border = min((sketch[-1] for sketch in (one, other) if len(sketch) == SIZE), default="g")
    first, second = ({number for number in sketch if number <= border} for sketch in (one, other))
    fewer = min(len(first), len(second))
    is_enough = fewer >= (FEWEST if border < "g" else 1)
    return len(first & second) / fewer if is_enough else 0.0
