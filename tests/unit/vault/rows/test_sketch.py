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
    assert sketch.in_common([], []) == sketch.in_common([], known) == 0.0


@pytest.mark.parametrize("num_rows", [18_000, 8_000, 900])
def test_a_part_has_its_rows_in_common_with_the_whole(num_rows: int) -> None:
    known, rows = sketch.sketch_of(DIGESTS, ALL), np.arange(20_000) < num_rows
    assert sketch.in_common(known, sketch.sketch_of(DIGESTS, rows)) == 1.0
    others = np.random.default_rng(1).integers(0, 256, (20_000, 16), np.uint8)
    assert sketch.in_common(known, sketch.sketch_of(others, rows)) == 0.0
    mixed = sketch.sketch_of(
        np.concatenate([DIGESTS[:num_rows], others[: num_rows // 2]]), np.ones(num_rows * 3 // 2, bool)
    )
    assert abs(sketch.in_common(mixed, known) - 2 / 3) < 0.25


def test_few_numbers_of_a_part_tell_nothing() -> None:
    known = sketch.sketch_of(DIGESTS, ALL)
    assert sketch.in_common(known, known[:10]) == 0.0
    assert sketch.in_common(known[:10], known[5:15]) == 0.5
