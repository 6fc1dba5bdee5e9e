"""The fingerprints of sealed rows: keyed, so that they say nothing of a row, and sorted, so that they are found fast.

A fingerprint is BLAKE2b-128 of a row's digest under one secret key per `HOLDFAST_HOME`. A file of them is a sequence
of 17-byte records in ascending order, each once: 16 bytes of fingerprint, then 1 where the row is ambiguous, else 0. An
ambiguous row proves nothing when it turns up again: it occurred more than once when sealed, is one value all over, or
comes from columns of a few values each. Rows of a table stand there in two forms: without and with their target.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.vault.identity import mapped

FINGERPRINT_BYTES = 16
RECORD_BYTES = FINGERPRINT_BYTES + 1
MIN_BITS = 20
FEW_VALUES = 8
SAMPLE_ROWS = 100_000
BLOCK_BYTES = 2**20


def fingerprints_of(digests: NDArray[np.uint8], key: bytes) -> NDArray[np.uint8]:
    """(n, 16) fingerprints of (n, 16) row digests."""
    keyed = hashlib.blake2b(digest_size=FINGERPRINT_BYTES, key=key)

    def print_of(digest: bytes) -> bytes:
        one = keyed.copy()
        one.update(digest)
        return one.digest()

    return mapped(print_of, FINGERPRINT_BYTES, digests)


def order_of(prints: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The stable ascending order of fingerprints; sealed rows lie in it, so that their place says nothing."""
    high, low = _halves(prints)
    return np.lexsort((low, high))


def as_records(prints: NDArray[np.uint8], is_common: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """(m, 17) records of (n, 16) fingerprints: ascending, each once; flagged where repeated or `is_common`."""
    order = order_of(prints)
    ordered = prints[order]
    is_first = np.ones(len(ordered), bool)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(is_first)
    times = np.diff(np.append(starts, len(ordered)))
    flags = times > 1
    if is_common is not None and len(starts):
        flags |= np.logical_or.reduceat(is_common[order], starts)
    return np.column_stack([ordered[is_first], flags.astype(np.uint8)])


def is_common_row(x: NDArray[Any], kind: str) -> NDArray[np.bool_]:
    """Which rows prove nothing when they turn up in other data: one value all over, or columns of too few values.

    Columns of whole numbers that together allow fewer than 2**20 different rows (a handful of yes-or-no answers) make
    every row common; a column of fractions, or of a different number in almost every row, does not.
    """
    if not len(x):
        return np.zeros(0, bool)
    size = max(1, BLOCK_BYTES // max(1, x[:1].nbytes))
    is_flat = np.concatenate([_is_flat(x[start : start + size]) for start in range(0, len(x), size)])
    if kind != "table":
        return is_flat
    possible = 0.0
    for sample in x[:SAMPLE_ROWS].T:
        values = np.unique(sample)
        if len(values) > max(FEW_VALUES, len(sample) / 2) or (values != np.rint(values)).any():
            return is_flat
        possible += np.log2(len(values))
        if possible >= MIN_BITS:
            return is_flat
    return np.ones(len(x), bool)


def _is_flat(block: NDArray[Any]) -> NDArray[np.bool_]:
    rows = block.reshape(len(block), -1)
    return np.asarray((rows == rows[:, :1]).all(axis=1))


def read_records(path: Path) -> NDArray[np.uint8]:
    """The records of a file.

    Raises:
        ValueError: Its size is no whole number of records.
    """
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, RECORD_BYTES)


def is_sealed(records: NDArray[np.uint8], prints: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(n,) Which of `prints` are sealed in `records` for certain; an ambiguous record is no match."""
    certain = records[records[:, -1] == 0]
    high, low = _halves(certain[:, :FINGERPRINT_BYTES])
    asked_high, asked_low = _halves(prints)
    found = np.isin(asked_high, high)
    candidates = np.flatnonzero(found)
    if len(candidates):
        known = set(zip(high.tolist(), low.tolist(), strict=True))
        asked = zip(asked_high[candidates].tolist(), asked_low[candidates].tolist(), strict=True)
        found[candidates] = [pair in known for pair in asked]
    return found


def _halves(prints: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    halves = np.ascontiguousarray(prints).view(">u8").astype(np.uint64)
    return halves[:, 0], halves[:, 1]
