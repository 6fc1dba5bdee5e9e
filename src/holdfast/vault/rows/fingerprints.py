"""The fingerprints of sealed rows: keyed, so that they say nothing of a row, and sorted, so that they are found fast.

A fingerprint is BLAKE2b-128 of a row's digest under one secret key per `HOLDFAST_HOME`. A file of them is a sequence
of 17-byte records in ascending order, each once: 16 bytes of fingerprint, then 1 where the row is ambiguous, else 0. An
ambiguous row proves nothing when it turns up again: it occurred more than once when sealed, is one value all over, or
comes from columns of a few values each. A row may stand there in several forms: its content, the bytes of its image,
the columns that name it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.vault.rows.arrays import RowArray
from holdfast.vault.rows.digest_sets import ascending, digest_blocks, mapped

FINGERPRINT_BYTES = 16
RECORD_BYTES = FINGERPRINT_BYTES + 1
MIN_BITS = 20
FEW_VALUES = 8
SAMPLE_ROWS = 100_000
BLOCK_BYTES = 2**20
PART_BYTES = 4 * 2**20
LOOK_NUMBERS = 64


def fingerprints_of(digests: RowArray, key: bytes) -> NDArray[np.uint8]:
    """(n, 16) fingerprints of (n, 16) row digests."""
    keyed = hashlib.blake2b(digest_size=FINGERPRINT_BYTES, key=key)

    def print_of(digest: bytes) -> bytes:
        one = keyed.copy()
        one.update(digest)
        return one.digest()

    found = np.empty((len(digests), FINGERPRINT_BYTES), np.uint8)
    for start, block in digest_blocks(digests):
        found[start : start + len(block)] = mapped(print_of, FINGERPRINT_BYTES, block)
    return found


def as_records(prints: NDArray[np.uint8], is_common: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """(m, 17) records of (n, 16) fingerprints: ascending, each once; flagged where repeated or `is_common`."""
    order = ascending(prints)
    ordered = prints[order]
    is_first = np.ones(len(ordered), bool)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(is_first)
    times = np.diff(np.append(starts, len(ordered)))
    flags = times > 1
    if is_common is not None and len(starts):
        flags |= np.logical_or.reduceat(is_common[order], starts)
    return np.column_stack([ordered[is_first], flags.astype(np.uint8)])


def write_records(path: Path, forms: Sequence[NDArray[np.uint8]], is_common: NDArray[np.bool_]) -> tuple[int, int]:
    """Write the records of rows in several forms, part by part, so that few are in memory.

    A row that is the same in two forms counts once: only another row like it makes it ambiguous.

    Args:
        path: A new file.
        forms: (n, 16) fingerprints of the rows, one array a form.
        is_common: (n,) rows that prove nothing.

    Returns:
        How many records there are, and how many of them are ambiguous.
    """
    distinct = ambiguous = 0
    num_parts = max(1, sum(prints.nbytes for prints in forms) // PART_BYTES)
    with path.open("xb") as file:
        for part in range(num_parts):
            chosen = [prints[:, 0].astype(np.int64) * num_parts // 256 == part for prints in forms]
            for index, prints in enumerate(forms):
                for other in forms[:index]:
                    chosen[index][chosen[index]] = (prints[chosen[index]] != other[chosen[index]]).any(axis=1)
            prints = np.concatenate([prints[rows] for prints, rows in zip(forms, chosen, strict=True)])
            records = as_records(prints, np.concatenate([is_common[rows] for rows in chosen]))
            file.write(records.tobytes())
            distinct, ambiguous = distinct + len(records), ambiguous + int(records[:, -1].sum())
        file.flush()
        os.fsync(file.fileno())
    return distinct, ambiguous


def is_common_row(x: RowArray, kind: str) -> NDArray[np.bool_]:
    """Which rows prove nothing when they turn up in other data: one value all over, or columns of too few values.

    Columns of whole numbers that together allow fewer than 2**20 different rows (a handful of yes-or-no answers) make
    every row common; a column of fractions, or of a different number in almost every row, does not.
    """
    if not len(x):
        return np.zeros(0, bool)
    size = max(1, BLOCK_BYTES // max(1, x.nbytes // len(x)))
    is_flat = np.concatenate([_is_flat(x[start : start + size]) for start in range(0, len(x), size)])
    if kind != "table":
        return is_flat
    possible = 0.0
    for sample in x[:SAMPLE_ROWS].T:
        values = np.unique(sample[~np.isnan(sample)])
        if len(values) > max(FEW_VALUES, len(sample) / 2) or (values != np.rint(values)).any():
            return is_flat
        possible += np.log2(len(values) + np.isnan(sample).any())
        if possible >= MIN_BITS:
            return is_flat
    return np.ones(len(x), bool)


def _is_flat(block: NDArray[Any]) -> NDArray[np.bool_]:
    rows = block.reshape(len(block), -1)
    rest = np.flatnonzero(_are_like_first(rows[:, :LOOK_NUMBERS]))  # most rows differ in their first numbers
    is_flat = np.zeros(len(rows), bool)
    is_flat[rest] = _are_like_first(rows[rest])
    return is_flat


def _are_like_first(rows: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(((rows == rows[:, :1]) | (rows != rows)).all(axis=1))  # noqa: PLR0124 - NaN is like any value


def read_records(path: Path) -> NDArray[np.uint8]:
    """The records of a file, mapped.

    Raises:
        ValueError: Its size is no whole number of records.
    """
    if not path.stat().st_size:
        return np.zeros((0, RECORD_BYTES), np.uint8)
    return np.memmap(path, np.uint8, "r").reshape(-1, RECORD_BYTES)


def is_sealed(records: NDArray[np.uint8], prints: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(n,) Which of `prints` are sealed in `records` for certain; an ambiguous record is no match."""
    return Known(records).has(prints)


class Known:
    """The records of a file, ready to be asked often: the certain ones, or all of them."""

    def __init__(self, records: NDArray[np.uint8], *, certain: bool = True) -> None:
        chosen = records[:, -1] == 0 if certain else np.ones(len(records), bool)
        self._high, self._low = (_word(records, start)[chosen] for start in (0, 8))

    def has(self, prints: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(n,) Which of (n, 16) fingerprints are among them."""
        high, low = _word(prints, 0), _word(prints, 8)
        place, found = np.searchsorted(self._high, high), np.zeros(len(prints), bool)
        rows = np.arange(len(prints))
        while len(rows := rows[place[rows] < len(self._high)]):
            rows = rows[self._high[place[rows]] == high[rows]]
            found[rows] = self._low[place[rows]] == low[rows]
            rows = rows[~found[rows]]  # records that are alike in their first half: look at the next
            place[rows] += 1
        return found


def _word(prints: NDArray[np.uint8], start: int) -> NDArray[np.uint64]:
    return np.ascontiguousarray(prints[:, start : start + 8]).view(">u8").astype(np.uint64).ravel()
