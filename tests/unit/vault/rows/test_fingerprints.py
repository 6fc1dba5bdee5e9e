from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from holdfast.vault.rows import digest_sets
from holdfast.vault.rows.digest_sets import (
    Fingerprints,
    as_records,
    fingerprints_of,
    write_records,
)
from holdfast.vault.rows.identity import row_digests

KEY = b"k" * 32


def test_sealed_rows_are_found_and_ambiguous_ones_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.vault.rows.digest_sets.BLOCK_ROWS", 7)
    digests = np.random.default_rng(0).integers(0, 256, (100, 16), np.uint8)
    prints = fingerprints_of(digests, KEY)
    rows = np.concatenate([prints[:50], prints[:5]])
    assert write_records(tmp_path / "records", [rows], np.arange(55) == 10) == (50, 6)
    sealed = Fingerprints(tmp_path / "records", KEY)
    is_known, is_certain = sealed.matches(digests)
    assert is_known.tolist() == [i < 50 for i in range(100)]
    assert is_certain.tolist() == sealed.are_sealed(digests).tolist() == [5 <= i < 50 and i != 10 for i in range(100)]
    assert not Fingerprints(tmp_path / "records", b"o" * 32).are_sealed(digests).any()
    (tmp_path / "none").touch()
    assert not Fingerprints(tmp_path / "none", KEY).matches(digests)[0].any()


def test_records_are_written_in_parts_as_they_are_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prints = np.random.default_rng(0).integers(0, 256, (500, 16), np.uint8)
    forms, is_common = [prints[:300], prints[200:]], np.arange(300) % 7 == 0
    expected = as_records(np.concatenate(forms), np.tile(is_common, 2))
    for size in (2**20, 1000):
        monkeypatch.setattr(digest_sets, "PART_BYTES", size)
        counts = write_records(tmp_path / str(size), forms, is_common)
        assert (tmp_path / str(size)).read_bytes() == expected.tobytes()
        assert counts == (500, int(expected[:, -1].sum()))


@pytest.mark.slow
def test_fingerprints_are_fast_enough() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20_000, 32, 32, 3), np.uint8)
    start = time.process_time()
    fingerprints_of(row_digests(images, kind="image"), KEY)
    assert len(images) / (time.process_time() - start) > 100_000
    table = np.random.default_rng(0).normal(size=(500_000, 20)).astype(np.float32)
    start = time.process_time()
    fingerprints_of(row_digests(table, kind="table"), KEY)
    assert 20 * (time.process_time() - start) < 30


def test_a_row_that_is_the_same_in_two_forms_is_not_ambiguous(tmp_path: Path) -> None:
    """A table without a column that was left out is the same "as stored": its rows are still known for certain."""
    rows = np.random.default_rng(0).integers(0, 256, (50, 16), dtype=np.uint8)
    twice = np.concatenate([rows[:1], rows])
    other = twice.copy()
    other[3] += 1
    assert write_records(tmp_path / "records", [twice, twice, other], np.zeros(51, bool)) == (51, 1)
