"""A part of the train rows, for learning curves: the smaller parts lie within the larger ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.vault.rows.digest_sets import order_keys

ALLOWED = "a share of the train rows, above 0 and up to 1, as in 0.1, or a count, as in 500"
# The order of rows in here is not that by which test and val rows were chosen.
SEED = 0x5B5E7


def check_count(subset: Any, num_rows: int) -> None:
    """Refuse a count that not even train and val rows together reach: told before anything is sealed.

    Raises:
        InputError: With how many rows there are.
    """
    if isinstance(subset, int) and subset > num_rows:
        raise InputError("data.subset", f"is {subset:,}; there are {num_rows:,} train and val rows", ALLOWED)


def subset_of(
    train: NDArray[np.int64],
    digests: NDArray[np.uint8],
    strata: NDArray[np.int64] | None,
    subset: float | int | None,
) -> NDArray[np.int64]:
    """The first indices, ascending, of an order in which the classes are spread evenly.

    A class of m rows has its i-th at (i + 1/2) / m, by the order of the rows' keys; so any number of first rows has
    each class in its share, within one row, and more rows only add to them.

    Args:
        train: (t,) indices of all train rows, ascending.
        digests: (n, bytes) content digests of the development rows.
        strata: (n,) their classes; None for tasks without classes.
        subset: A share or a count; None or 1: all.

    Raises:
        InputError: It asks for more rows than there are, or for fewer than two.
    """
    if subset is None or subset == 1:
        return train
    # A record from elsewhere may hold a share that no number of rows is.
    count = subset if isinstance(subset, int) else round(min(max(subset, 0.0), 2.0) * len(train))
    if not 2 <= count <= len(train):
        problem = f"is {subset}, which makes {count} rows" if isinstance(subset, float) else f"is {subset}"
        raise InputError("data.subset", f"{problem}; there are {len(train):,} train rows", ALLOWED)
    keys = order_keys(digests[train], SEED)
    classes = np.zeros(len(train), np.int64) if strata is None else strata[train]
    order = np.lexsort((keys, classes))
    sizes = np.unique(classes, return_counts=True)[1]
    within = np.arange(len(train)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    places = (within + 0.5) / np.repeat(sizes, sizes)
    return np.sort(train[order[np.lexsort((keys[order], places))[:count]]])
