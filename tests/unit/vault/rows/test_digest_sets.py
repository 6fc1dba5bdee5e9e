from __future__ import annotations

import hashlib

import numpy as np
import pytest

from holdfast.vault.rows import digest_sets
from holdfast.vault.rows.digest_sets import content_id, order_keys, rows_id
from holdfast.vault.rows.identity import row_digests


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
    assert rows_id(digests) == rows_id(digests[[*shuffled, 0, 0]])
    assert rows_id(digests[:4]) == rows_id(digests, np.arange(6) < 4)


def test_a_set_is_hashed_in_parts_as_it_is_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    digests = np.random.default_rng(0).integers(0, 256, (900, 16), np.uint8)
    digests[:, :8][300:600] = digests[:300, :8]  # equal in their first word alone
    digests[600:] = digests[:300]
    y = np.arange(900) % 7
    members = sorted(
        digest.tobytes() + int(target).to_bytes(8, "little") for digest, target in zip(digests, y, strict=True)
    )
    expected = hashlib.sha256(b"holdfast content 2 <i8 1" + b"".join(members)).hexdigest()
    distinct = sorted({digest.tobytes() for digest in digests})
    for size in (2**20, 2000):
        monkeypatch.setattr(digest_sets, "SORT_BYTES", size)
        monkeypatch.setattr(digest_sets, "PIECE_ROWS", 10)
        assert content_id(digests, y) == expected
        assert rows_id(digests) == hashlib.sha256(b"holdfast rows 2" + b"".join(distinct)).hexdigest()
