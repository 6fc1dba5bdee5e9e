from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.data.splits.facts import first_rows, largest_remainder, units_in_order
from holdfast.vault.rows.digest_sets import order_keys


def digests(num_rows: int, distinct: int, seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (distinct, 16), np.uint8)[random.integers(0, distinct, num_rows)]


@pytest.mark.parametrize("seed", range(20))
def test_whole_groups_come_as_near_to_the_share_as_they_can(seed: int) -> None:
    rows = digests(60, 25, seed)
    mask, keys = first_rows(rows, None, 0.3, seed), order_keys(rows, seed)
    assert keys[mask].max(initial=0) < keys[~mask].min()
    sizes = [int((keys <= key).sum()) for key in np.unique(keys)]
    assert mask.sum() == min([0, *sizes], key=lambda size: (abs(size - 18), size))


def test_equal_rows_count_in_their_lowest_class() -> None:
    rows = np.concatenate([digests(40, 400, 1), digests(40, 400, 2)])
    strata = np.repeat([0, 1], 40)
    rows[40:50] = rows[:10]
    mask = first_rows(rows, strata, 0.5, 0)
    assert np.array_equal(mask[40:50], mask[:10])
    assert (mask[:50].sum(), mask[50:].sum()) in ((25, 15), (24, 15), (26, 15))


def test_shares_add_up() -> None:
    assert largest_remainder(np.array([3, 3, 3]), 0.5).sum() == 4
    assert largest_remainder(np.array([10, 20, 30]), 0.1).tolist() == [1, 2, 3]


def test_different_units_are_counted() -> None:
    rows = digests(500, 90, 0)
    unit_of, sizes = units_in_order(rows, 0)
    assert len(sizes) == len(np.unique(rows, axis=0))
    assert sizes.sum() == len(rows) == len(unit_of)
