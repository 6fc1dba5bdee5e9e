"""A sketch of a set of rows: the smallest pseudo-random numbers of its digests (Cohen and Kaplan 2007, bottom-k).

It tells what share of the set is among other rows: to within 0.016 (one standard deviation) by 1,024 numbers. Rows that
prove nothing (`fingerprints.is_common_row`) are not in it, so the sketch of a table of few values is empty.
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


def are_mostly_equal(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two sketches are of sets that have most rows in common."""
    fewer = min(len(one), len(other))
    return fewer > 0 and len(set(one) & set(other)) >= MOSTLY * fewer
