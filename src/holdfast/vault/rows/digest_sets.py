"""Sets of rows by their digests (`vault.rows.identity`): their order, their identity, which rows are among them.

A digest is (16,) bytes. Functions read digests in blocks, which may lie in a file, and sort few of them at a time.

A sketch of a set is the smallest pseudo-random numbers of its digests (Cohen and Kaplan 2007, bottom-k). It tells what
share of the set is among other rows: to within 0.016 (one standard deviation) by 1,024 numbers. Rows that prove nothing
(`data.store.row_keys.is_common_row`) are not in it, so the sketch of a table of few values is empty.

A fingerprint of a sealed row is BLAKE2b-128 of its digest under one secret key per `HOLDFAST_HOME`, and says nothing of
the row. A file of them is a sequence of 17-byte records in ascending order, each once: 16 bytes of fingerprint, then 1
where the row is ambiguous, else 0. An ambiguous row proves nothing when it turns up again: it occurred more than once
when sealed, is one value all over, or comes from columns of a few values each. A row may stand there in several forms:
its content, the bytes of its image, the columns that name it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdfast.core.files import new_file, open_plain
from holdfast.vault.rows.identity import DIGEST_BYTES, Array, RowArray, hash_rows

Mask = NDArray[np.bool_]

RECORD_BYTES = DIGEST_BYTES + 1
PART_BYTES = 4 * 2**20  # of records in memory
BLOCK_ROWS = 2**16
SORT_BYTES = 12 * 2**20
SKETCH_SIZE = 1024
SKETCH_SEED = 0x5E7C4  # not an order by which rows are chosen
MOSTLY = 0.5
FEWEST = 16  # numbers of a part of a sketch: of fewer no share is told


def order_keys(digests: RowArray, seed: int) -> NDArray[np.uint64]:
    """One pseudo-random number a row, keyed by the public `seed`: equal rows, equal numbers, on every machine.

    Rows sorted by it are in an order that depends on neither their former order nor their names. AES-256 under a key
    made of the seed is the pseudo-random function, a digest is one block, its first half the number.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES256(hashlib.sha256(b"holdfast order %d" % seed).digest()), modes.ECB()).encryptor()
    keys = np.empty(len(digests), np.uint64)
    for start, block in digest_blocks(digests):
        keys[start : start + len(block)] = np.frombuffer(cipher.update(block.tobytes()), "<u8")[::2]
    return keys


def content_id(digests: RowArray, y: Array) -> str:
    """The identity of a set of rows with their targets, as 64 hex digits; the order of rows does not count.

    SHA-256 over a header and the rows in ascending order, each its digest followed by the bytes of its target. They
    are sorted part by part, so that few of them are in memory.
    """
    targets = y.astype(y.dtype.newbyteorder("<"), copy=False).reshape(len(y), -1)
    target_bytes = targets.dtype.itemsize * targets.shape[1]
    total = hashlib.sha256(f"holdfast content 2 {targets.dtype.str} {targets.shape[1]}".encode())
    num_parts = 1 + len(digests) * (DIGEST_BYTES + target_bytes) // SORT_BYTES
    for part in range(num_parts):
        members = [np.empty((0, DIGEST_BYTES + target_bytes), np.uint8)]
        for start, block in digest_blocks(digests):
            rows = np.flatnonzero(parts_of(block, num_parts) == part)
            target = np.ascontiguousarray(targets[start + rows]).view(np.uint8).reshape(len(rows), target_bytes)
            members.append(np.column_stack([block[rows], target]))
        items = as_items(np.concatenate(members))
        items.sort()
        total.update(items.view(np.uint8).data)
    return total.hexdigest()


def digest_blocks(digests: RowArray) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Digests a block at a time, each with the place of its first row."""
    places = range(0, len(digests), BLOCK_ROWS)
    return ((start, np.ascontiguousarray(digests[start : start + BLOCK_ROWS])) for start in places)


class DigestSet:
    """Digests in ascending order, ready to be asked often which others are among them."""

    def __init__(self, digests: NDArray[np.uint8]) -> None:
        self._items = as_items(np.array(digests))
        self._items.sort()
        self._words = first_words(self._items.view(np.uint8).reshape(-1, DIGEST_BYTES))

    def places(self, digests: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(n,) The place of each of (n, 16) digests in the order of the set, -1 where it is not among them."""
        places = np.full(len(digests), -1, np.int64)
        words = first_words(digests)
        rows = np.argsort(words)  # those that ascend are found much faster
        rows = rows[places_in(self._words, words[rows]) >= 0]
        places[rows] = places_in(self._items, as_items(digests[rows]))
        return places

    def has(self, digests: RowArray) -> Mask:
        """(n,) True for those of (n, 16) digests that are among them."""
        blocks = [self.places(block) >= 0 for _, block in digest_blocks(digests)]
        return np.concatenate([np.zeros(0, bool), *blocks])


def places_in(ascending: Array, values: Array) -> NDArray[np.int64]:
    """(n,) The place of each of (n,) values among (m,) ascending ones, -1 where it is not among them."""
    if not len(ascending):
        return np.full(len(values), -1, np.int64)
    places = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.where(ascending[places] == values, places, -1)


def equal_to_marked(digests: RowArray, is_marked: Mask) -> Mask:
    """(n,) True for rows that are not marked and equal a marked one."""
    if not is_marked.any():
        return np.zeros(len(is_marked), bool)
    blocks = [block[is_marked[start : start + len(block)]] for start, block in digest_blocks(digests)]
    return DigestSet(np.concatenate(blocks)).has(digests) & ~is_marked


def num_distinct(digests: NDArray[np.uint8]) -> int:
    """The number of different digests."""
    items = as_items(np.array(digests))
    items.sort()  # `numpy.unique` makes a table of hashes, which takes far more memory
    return len(items[:1]) + int((items[1:] != items[:-1]).sum())


def first_words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first eight bytes of each, as a number: enough to tell most digests apart, in the same order."""
    return np.ascontiguousarray(digests[:, :8]).view(">u8").ravel().astype(np.uint64)


def as_items(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Digests, or others of equal length, as strings of bytes: numpy compares and sorts them."""
    return np.ascontiguousarray(digests).view(f"S{digests.shape[1]}").ravel()


def ascending(members: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The order in which (n, bytes) members ascend, bytes compared from the first on; equal ones keep theirs."""
    return np.argsort(as_items(members), kind="stable")


def parts_of(members: NDArray[np.uint8], num_parts: int) -> NDArray[np.int32]:
    """(n,) The number of the stretch that a digest falls into, of so many of about equal length, in their order."""
    return (members[:, 0].astype(np.int32) * 256 + members[:, 1]) * np.int32(num_parts) >> 16


def keys_of(digests: RowArray) -> NDArray[np.uint64]:
    """(n,) The pseudo-random numbers of rows with (n, 16) digests."""
    return order_keys(digests, SKETCH_SEED)


def sketch_of(digests: RowArray, rows: Mask) -> list[str]:
    """The sketch of some of the rows with (n, 16) digests, as hex digits."""
    least = np.zeros(0, np.uint64)
    for start, block in digest_blocks(digests):
        chosen = keys_of(block)[rows[start : start + len(block)]]
        least = np.unique(np.concatenate([least, chosen]))[:SKETCH_SIZE]
    return [f"{key:016x}" for key in least.tolist()]


def share_among(sketch: Sequence[str], digests: RowArray) -> float:
    """The share of a sketch's rows that are among rows with (n, 16) digests; 0 of an empty sketch."""
    if not sketch:
        return 0.0
    keys = np.array([int(key, 16) for key in sketch], np.uint64)
    return float(np.isin(keys, keys_of(digests)).mean())


def in_common(mine: Sequence[str], other: Sequence[str]) -> float:
    """The share of the smaller of two sets of rows that is in the other, from their sketches.

    A sketch that is full knows nothing beyond its largest number: there the other one's are not looked at.
    """
    border = min((sketch[-1] for sketch in (mine, other) if len(sketch) == SKETCH_SIZE), default="g")
    first, second = ({number for number in sketch if number <= border} for sketch in (mine, other))
    fewer = min(len(first), len(second))
    is_enough = fewer >= (FEWEST if border < "g" else 1)
    return len(first & second) / fewer if is_enough else 0.0


# --- fingerprints -----------------------------------------------------------------------------------------------------


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
