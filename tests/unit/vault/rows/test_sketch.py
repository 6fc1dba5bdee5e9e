from __future__ import annotations

import numpy as np
import pytest

from holdfast.vault.rows import sketch

DIGESTS = np.random.default_rng(0).integers(0, 256, (20_000, 16), np.uint8)
ALL = np.ones(20_000, bool)


def test_rows_that_do_not_count_are_not_in_it() -> None:
    few = np.arange(20_000) < 10
    known = sketch.sketch_of(DIGESTS, few)
    assert len(known) == 10
    assert sketch.share_among(known, DIGESTS[:10]) == 1.0
    assert sketch.share_among(known, DIGESTS[10:]) == 0.0
    assert sketch.sketch_of(DIGESTS, ~ALL) == []


def test_neither_order_nor_repetition_counts() -> None:
    known = sketch.sketch_of(DIGESTS, ALL)
    assert len(known) == sketch.SIZE
    assert known == sorted(known)
    twice = np.concatenate([DIGESTS[::-1], DIGESTS[:100]])
    assert sketch.sketch_of(twice, np.ones(len(twice), bool)) == known


@pytest.mark.parametrize("share", [0.1, 0.45, 0.55, 0.9])
def test_the_share_is_told_to_within_five_standard_deviations(share: float) -> None:
    known = sketch.sketch_of(DIGESTS, ALL)
    others = np.random.default_rng(1).integers(0, 256, (50_000, 16), np.uint8)
    found = sketch.share_among(known, np.concatenate([others, DIGESTS[: round(20_000 * share)]]))
    assert abs(found - share) < 5 * 0.016
    assert (found >= sketch.MOSTLY) == (share >= sketch.MOSTLY)


def test_an_empty_one_is_like_none() -> None:
    known = sketch.sketch_of(DIGESTS, ALL)
    assert sketch.share_among([], DIGESTS) == 0.0
    assert not sketch.are_mostly_equal([], [])
    assert not sketch.are_mostly_equal(known, [])


def test_sets_with_most_rows_in_common() -> None:
    known = sketch.sketch_of(DIGESTS, ALL)
    assert sketch.are_mostly_equal(known, sketch.sketch_of(DIGESTS, np.arange(20_000) < 18_000))
    assert not sketch.are_mostly_equal(known, sketch.sketch_of(DIGESTS, np.arange(20_000) < 2_000))
