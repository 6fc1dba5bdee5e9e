from __future__ import annotations

import time

import numpy as np
import pytest

from holdfast.vault.fingerprints import as_records, fingerprints_of, is_common_row, is_sealed
from holdfast.vault.identity import digests_with_target, row_digests

KEY = b"k" * 32


def test_sealed_rows_are_found_and_ambiguous_ones_are_not() -> None:
    digests = np.random.default_rng(0).integers(0, 256, (100, 32), np.uint8)
    prints = fingerprints_of(digests, KEY)
    records = as_records(np.concatenate([prints[:50], prints[:5]]), np.arange(55) == 10)
    assert len(records) == 50
    found = is_sealed(records, prints)
    assert found.tolist() == [5 <= i < 50 and i != 10 for i in range(100)]
    assert not is_sealed(records, fingerprints_of(digests, b"o" * 32)).any()


def test_rows_that_prove_nothing_are_common() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (500, 3)).astype(np.float32)
    assert is_common_row(bits, "table").all()
    assert not is_common_row(np.random.default_rng(0).normal(size=(6, 2)), "table").any()
    numbered = np.column_stack([bits, np.arange(500)])
    assert not is_common_row(numbered[1:], "table").any()
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    images[1] = 255
    assert is_common_row(images, "image").tolist() == [False, True, False, False]
    assert is_common_row(images[:0], "image").tolist() == []


def test_a_file_is_known_when_another_column_is_the_target() -> None:
    table = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    columns = ["a", "b", "c", "d"]

    def full(target: int) -> list[bytes]:
        others = [index for index in range(4) if index != target]
        names = [columns[index] for index in others]
        found = digests_with_target(
            table[:, others], table[:, target], feature_names=names, target_name=columns[target]
        )
        return [digest.tobytes() for digest in found]

    assert full(0) == full(3)
    assert full(0) == [digest.tobytes() for digest in row_digests(table, kind="table", feature_names=columns)]


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
