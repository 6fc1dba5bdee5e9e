"""The fingerprints of sealed rows: keyed, so that they say nothing of a row, and sorted, so that they are found fast.

A fingerprint is BLAKE2b-128 of a row's digest under one secret key per `HOLDFAST_HOME`. A file of them is a sequence
of 17-byte records in ascending order, each once: 16 bytes of fingerprint, then 1 where the row is ambiguous (it
occurred more than once when sealed, as rows of a few yes-or-no columns do), else 0. An ambiguous row proves nothing
when it turns up again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FINGERPRINT_BYTES = 16
RECORD_BYTES = FINGERPRINT_BYTES + 1


def fingerprints_of(digests: NDArray[np.uint8], key: bytes) -> NDArray[np.uint8]:
    """(n, 16) fingerprints of (n, 32) row digests."""
    whole = np.ascontiguousarray(digests).tobytes()
    width = digests.shape[1]
    prints = [
        hashlib.blake2b(whole[start : start + width], digest_size=FINGERPRINT_BYTES, key=key).digest()
        for start in range(0, len(whole), width)
    ]
    return np.frombuffer(b"".join(prints), np.uint8).reshape(-1, FINGERPRINT_BYTES)


def order_of(prints: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The stable ascending order of fingerprints; sealed rows lie in it, so that their place says nothing."""
    high, low = _halves(prints)
    return np.lexsort((low, high))


def as_records(prints: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(m, 17) records of (n, 16) fingerprints: ascending, each once, the repeated ones flagged."""
    ordered = prints[order_of(prints)]
    is_first = np.ones(len(ordered), bool)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    times = np.diff(np.append(np.flatnonzero(is_first), len(ordered)))
    return np.column_stack([ordered[is_first], (times > 1).astype(np.uint8)])


def read_records(path: Path) -> NDArray[np.uint8]:
    """The records of a file.

    Raises:
        ValueError: Its size is no whole number of records.
    """
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, RECORD_BYTES)


def count_matches(records: NDArray[np.uint8], prints: NDArray[np.uint8]) -> tuple[int, int]:
    """How many of `prints` are sealed in `records`: (certain, ambiguous)."""
    high, low = _halves(records[:, :FINGERPRINT_BYTES])
    asked_high, asked_low = _halves(prints)
    candidates = np.flatnonzero(np.isin(asked_high, high))
    flags = (
        dict(zip(zip(high.tolist(), low.tolist(), strict=True), records[:, -1].tolist(), strict=True))
        if len(candidates)
        else {}
    )
    asked = zip(asked_high[candidates].tolist(), asked_low[candidates].tolist(), strict=True)
    found = [flags[pair] for pair in asked if pair in flags]
    return found.count(0), len(found) - found.count(0)


def _halves(prints: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    halves = np.ascontiguousarray(prints).view(">u8").astype(np.uint64)
    return halves[:, 0], halves[:, 1]
