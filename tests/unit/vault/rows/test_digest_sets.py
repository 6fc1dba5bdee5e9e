from __future__ import annotations

import hashlib

import numpy as np
import pytest

from holdfast.vault.rows import digest_sets
from holdfast.vault.rows.digest_sets import (
    MOSTLY,
    SKETCH_SIZE,
    DigestSet,
    content_id,
    equal_to_marked,
    in_common,
    order_keys,
    share_among,
    sketch_of,
)
from holdfast.vault.rows.identity import row_digests

DIGESTS = np.random.default_rng(0).integers(0, 256, (20_000, 16), np.uint8)
ALL = np.ones(20_000, bool)


def test_order_keys_are_fixed_for_ever() -> None:
    digests = np.zeros((2, 16), np.uint8)
    digests[1, 0] = 1
    assert order_keys(digests, 0).tolist() == [11952673591912459186, 717659808066428872]
    assert not np.array_equal(order_keys(digests, 0), order_keys(digests, 1))


def test_content_counts_rows_and_targets_but_not_their_order() -> None:
    digests = row_digests(np.arange(12.0).reshape(6, 2), kind="table")
    y = np.array([0, 1, 0, 1, 0, 1])
    shuffled = np.array([3, 1, 5, 0, 2, 4])
    assert content_id(digests, y) == content_id(digests[shuffled], y[shuffled])
    assert content_id(digests, y) != content_id(digests, 1 - y)
    assert content_id(digests, y) != content_id(digests[:5], y[:5])
    assert len(content_id(digests, np.eye(6, dtype=np.uint8))) == 64


def test_a_set_is_hashed_in_parts_as_it_is_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    digests = np.random.default_rng(0).integers(0, 256, (900, 16), np.uint8)
    digests[:, :8][300:600] = digests[:300, :8]  # equal in their first word alone
    digests[600:] = digests[:300]
    y = np.arange(900) % 7
    members = sorted(
        digest.tobytes() + int(target).to_bytes(8, "little") for digest, target in zip(digests, y, strict=True)
    )
    expected = hashlib.sha256(b"holdfast content 2 <i8 1" + b"".join(members)).hexdigest()
    for size in (2**20, 2000):
        monkeypatch.setattr(digest_sets, "SORT_BYTES", size)
        assert content_id(digests, y) == expected


@pytest.mark.parametrize("num_values", [2, 256])
def test_digests_are_found_among_others(num_values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_sets, "BLOCK_ROWS", 100)
    random = np.random.default_rng(0)
    rows = random.integers(0, num_values, (500, 16)).astype(np.uint8)
    others = np.concatenate([rows[::7], random.integers(0, num_values, (80, 16)).astype(np.uint8)])
    rows[3, :8] = others[0, :8]  # the same beginning, another row
    others[5, 8:], rows[4] = 0, others[5]  # zeros at the end count
    rows[4, 15] = 1
    known = DigestSet(others)
    members = sorted(map(bytes, others))
    assert known.has(rows).tolist() == [bytes(row) in members for row in rows]
    assert [members[place] for place in known.places(others)] == [bytes(row) for row in others]
    assert not DigestSet(others[:0]).has(rows).any()
    assert known.has(rows[:0]).tolist() == []


def test_rows_that_equal_a_marked_one() -> None:
    digests = np.random.default_rng(0).integers(0, 256, (4, 16), np.uint8)[[0, 1, 2, 0, 1, 3]]
    marked = np.array([True, False, False, False, False, True])
    assert equal_to_marked(digests, marked).tolist() == [False, False, False, True, False, False]
    assert not equal_to_marked(digests, marked & False).any()


def test_rows_that_do_not_count_are_not_in_it() -> None:
    few = np.arange(20_000) < 10
    known = sketch_of(DIGESTS, few)
    assert len(known) == 10
    assert share_among(known, DIGESTS[:10]) == 1.0
    assert share_among(known, DIGESTS[10:]) == 0.0
    assert sketch_of(DIGESTS, ~ALL) == []


def test_neither_order_nor_repetition_counts() -> None:
    known = sketch_of(DIGESTS, ALL)
    assert len(known) == SKETCH_SIZE
    assert known == sorted(known)
    twice = np.concatenate([DIGESTS[::-1], DIGESTS[:100]])
    assert sketch_of(twice, np.ones(len(twice), bool)) == known


@pytest.mark.parametrize("share", [0.1, 0.45, 0.55, 0.9])
def test_the_share_is_told_to_within_five_standard_deviations(share: float) -> None:
    known = sketch_of(DIGESTS, ALL)
    others = np.random.default_rng(1).integers(0, 256, (50_000, 16), np.uint8)
    estimate = share_among(known, np.concatenate([others, DIGESTS[: round(20_000 * share)]]))
    assert abs(estimate - share) < 5 * 0.016
    assert (estimate >= MOSTLY) == (share >= MOSTLY)


def test_an_empty_one_is_like_none() -> None:
    known = sketch_of(DIGESTS, ALL)
    assert share_among([], DIGESTS) == 0.0
    assert in_common([], []) == in_common([], known) == 0.0


@pytest.mark.parametrize("num_rows", [18_000, 8_000, 900])
def test_a_part_has_its_rows_in_common_with_the_whole(num_rows: int) -> None:
    known, rows = sketch_of(DIGESTS, ALL), np.arange(20_000) < num_rows
    assert in_common(known, sketch_of(DIGESTS, rows)) == 1.0
    others = np.random.default_rng(1).integers(0, 256, (20_000, 16), np.uint8)
    assert in_common(known, sketch_of(others, rows)) == 0.0
    mixed = sketch_of(np.concatenate([DIGESTS[:num_rows], others[: num_rows // 2]]), np.ones(num_rows * 3 // 2, bool))
    assert abs(in_common(mixed, known) - 2 / 3) < 0.25


def test_few_numbers_of_a_part_tell_nothing() -> None:
    known = sketch_of(DIGESTS, ALL)
    assert in_common(known, known[:10]) == 0.0
    assert in_common(known[:10], known[5:15]) == 0.5
