"""Rows on disk that only their process can read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.data import encrypted_spool as module
from holdfast.data.encrypted_spool import Spool


@pytest.fixture
def rows() -> NDArray[Any]:
    return np.random.default_rng(0).standard_normal((1000, 5, 3)).astype(np.float32)


@pytest.fixture
def spool(home: Path, rows: NDArray[Any], monkeypatch: pytest.MonkeyPatch) -> Spool:
    monkeypatch.setattr(module, "BLOCK_BYTES", 700)  # 11 rows and a rest
    spool = Spool((5, 3), np.float32)
    for start, stop in ((0, 1), (1, 400), (400, 400), (400, 1000)):
        spool.append(rows[start:stop])
    return spool


def test_rows_are_read_as_from_an_array(spool: Spool, rows: NDArray[Any]) -> None:
    assert (spool.shape, spool.ndim, spool.dtype, spool.nbytes) == (rows.shape, 3, np.float32, rows.nbytes)
    order = np.random.default_rng(1).permutation(1000)[:300]
    for place in (slice(3, 77), slice(None), slice(5, 2), order, rows[:, 0, 0] > 1):
        assert np.array_equal(spool[place], rows[place])
    assert spool[np.array([5, 5, 2])].shape == (3, 5, 3)
    assert spool[np.zeros(0, np.int64)].shape == (0, 5, 3)


def test_nothing_readable_is_on_disk(spool: Spool, rows: NDArray[Any], home: Path) -> None:
    sealed = os.pread(spool._file.fileno(), rows.nbytes, 0)
    assert len(sealed) == rows.nbytes
    assert not any(row.tobytes()[:16] in sealed for row in rows)
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_gather_reads_the_file_once(spool: Spool, rows: NDArray[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    read, pread = [0], os.pread

    def count(file: int, size: int, place: int) -> bytes:
        read[0] += size
        return pread(file, size, place)

    monkeypatch.setattr(os, "pread", count)
    assert np.array_equal(spool[np.arange(1000)[::-1]], rows[::-1])
    assert read[0] == rows.nbytes
    assert spool[np.array([900])].shape == (1, 5, 3)
    assert read[0] == rows.nbytes + 60


def test_wrong_rows_are_refused(spool: Spool) -> None:
    with pytest.raises(ValueError, match=r"rows of shape \(3, 5\), expected \(5, 3\)"):
        spool.append(np.zeros((2, 3, 5)))
    with pytest.raises(IndexError, match="rows 1000 to 1000 of 1000"):
        spool[np.array([1000])]
