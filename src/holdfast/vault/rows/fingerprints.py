"""The fingerprints of sealed rows: keyed, so that they say nothing of a row, and sorted, so that they are found fast.

A fingerprint is BLAKE2b-128 of a row's digest under one secret key per `HOLDFAST_HOME`. A file of them is a sequence
of 17-byte records in ascending order, each once: 16 bytes of fingerprint, then 1 where the row is ambiguous, else 0. An
ambiguous row proves nothing when it turns up again: it occurred more than once when sealed, is one value all over, or
comes from columns of a few values each. A row may stand there in several forms: its content, the bytes of its image,
the columns that name it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdfast.core.files import new_file, open_plain
from holdfast.vault.rows.digest_sets import DigestSet, as_items, digest_blocks, parts_of
from holdfast.vault.rows.identity import DIGEST_BYTES, RowArray, hash_rows

Mask = NDArray[np.bool_]
RECORD_BYTES = DIGEST_BYTES + 1
PART_BYTES = 4 * 2**20


class Fingerprints:
    """The fingerprints in a file and the key they were made with, ready to be asked which rows are among them.

    Raises:
        ValueError: The size of the file is no whole number of records.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        with open_plain(path) as file:
            records = np.fromfile(file, np.uint8).reshape(-1, RECORD_BYTES)
        self._prints, self._key = DigestSet(records[:, :DIGEST_BYTES]), key
        self._is_certain = np.append(records[:, -1] == 0, False)  # the last stands for rows that are not there

    def matches(self, digests: RowArray) -> tuple[Mask, Mask]:
        """(n,) True for (n, 16) digests of rows that equal a sealed one; (n,) for those that are sealed for certain."""
        is_known, is_certain = np.zeros(len(digests), bool), np.zeros(len(digests), bool)
        for start, block in digest_blocks(digests):
            places = self._prints.places(_prints_of_block(block.tobytes(), self._key))
            is_known[start : start + len(block)] = places >= 0
            is_certain[start : start + len(block)] = self._is_certain[places]
        return is_known, is_certain

    def are_sealed(self, digests: RowArray) -> Mask:
        """(n,) True for rows that are sealed for certain; an ambiguous record is no match."""
        return self.matches(digests)[1]


def fingerprints_of(digests: RowArray, key: bytes) -> NDArray[np.uint8]:
    """(n, 16) fingerprints of (n, 16) row digests."""
    prints = np.empty((len(digests), DIGEST_BYTES), np.uint8)
    for start, block in digest_blocks(digests):
        prints[start : start + len(block)] = _prints_of_block(block.tobytes(), key)
    return prints


@lru_cache(maxsize=2)  # rows are looked for in one vault after the other
def _prints_of_block(digests: bytes, key: bytes) -> NDArray[np.uint8]:
    rows = np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)
    return hash_rows(hashlib.blake2b(digest_size=DIGEST_BYTES, key=key), rows)


def as_records(prints: NDArray[np.uint8], is_common: Mask) -> NDArray[np.uint8]:
    """(m, 17) records of (n, 16) fingerprints: ascending, each once; flagged where repeated or `is_common`."""
    items, number_of, counts = np.unique(as_items(prints), return_inverse=True, return_counts=True)
    flags = (counts > 1) | (np.bincount(number_of, is_common, len(items)) > 0)
    return np.column_stack([items.view(np.uint8).reshape(-1, DIGEST_BYTES), flags.astype(np.uint8)])


def write_records(path: Path, forms: Sequence[NDArray[np.uint8]], is_common: Mask) -> tuple[int, int]:
    """Write the records of rows in several forms, part by part, so that few are in memory.

    A row that is the same in two forms counts once: only another row like it makes it ambiguous.

    `is_common` are (n,) rows that prove nothing.

    Returns:
        How many records there are, and how many of them are ambiguous.
    """
    distinct = ambiguous = 0
    num_parts = 1 + sum(prints.nbytes for prints in forms) // PART_BYTES
    with new_file(path) as file:
        for part in range(num_parts):
            chosen = [np.flatnonzero(parts_of(prints, num_parts) == part) for prints in forms]
            for index, prints in enumerate(forms):
                for other in forms[:index]:
                    rows = chosen[index]
                    chosen[index] = rows[(prints[rows] != other[rows]).any(axis=1)]
            prints = np.concatenate([prints[rows] for prints, rows in zip(forms, chosen, strict=True)])
            records = as_records(prints, np.concatenate([is_common[rows] for rows in chosen]))
            file.write(records.tobytes())
            distinct, ambiguous = distinct + len(records), ambiguous + int(records[:, -1].sum())
    return distinct, ambiguous
