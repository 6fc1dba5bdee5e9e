from __future__ import annotations

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data.splits.facts import subset_of
from holdfast.vault.rows.identity import row_digests

DIGESTS = row_digests(np.arange(1200, dtype=np.float32)[:, None], kind="table")
TRAIN = np.flatnonzero(np.arange(1200) % 6 > 0)  # 1,000 rows
CLASSES = np.repeat([0, 1, 2], [700, 400, 100])


def test_parts_are_nested_and_have_each_class_in_its_share() -> None:
    shares = np.bincount(CLASSES[TRAIN]) / len(TRAIN)
    previous: set[int] = set()
    for count in (2, 10, 37, 100, 101, 500, 999, 1000):
        rows = subset_of(TRAIN, DIGESTS, CLASSES, count)
        assert (np.diff(rows) > 0).all()
        assert len(rows) == count
        assert previous <= set(rows.tolist()) <= set(TRAIN.tolist())
        assert np.abs(np.bincount(CLASSES[rows], minlength=3) - count * shares).max() <= 1
        previous = set(rows.tolist())


def test_shares_and_counts_say_the_same() -> None:
    assert np.array_equal(subset_of(TRAIN, DIGESTS, CLASSES, 0.1), subset_of(TRAIN, DIGESTS, CLASSES, 100))
    for everything in (None, 1, 1.0, 1000):
        assert np.array_equal(subset_of(TRAIN, DIGESTS, CLASSES, everything), TRAIN)
    assert len(subset_of(TRAIN, DIGESTS, None, 0.25)) == 250


def test_rows_go_by_content_not_by_place() -> None:
    order = np.random.default_rng(0).permutation(1200)
    mask = np.isin(np.arange(1200), TRAIN)
    there = np.flatnonzero(mask[order])
    subset = subset_of(there, DIGESTS[order], CLASSES[order], 0.3)
    assert set(order[subset].tolist()) == set(subset_of(TRAIN, DIGESTS, CLASSES, 0.3).tolist())


def test_more_or_fewer_rows_than_can_be() -> None:
    with pytest.raises(InputError, match=r"data.subset: is 1001; there are 1,000 train rows"):
        subset_of(TRAIN, DIGESTS, CLASSES, 1001)
    with pytest.raises(InputError, match=r"data.subset: is 0.001, which makes 1 rows; there are 1,000 train rows"):
        subset_of(TRAIN, DIGESTS, CLASSES, 0.001)
