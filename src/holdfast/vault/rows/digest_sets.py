"""Sets of rows by their digests (`vault.rows.identity`): their order, their identity, which of them are equal.

A digest is (16,) bytes. Functions read digests in blocks, which may lie in a file, and sort few of them at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from holdfast.vault.rows.arrays import Array, RowArray
from holdfast.vault.rows.identity import DIGEST_BYTES

BLOCK_ROWS = 2**16
PIECE_ROWS = 4096
SORT_BYTES = 12 * 2**20


def order_keys(digests: RowArray, seed: int) -> NDArray[np.uint64]:
    """One pseudo-random number a row, keyed by the public `seed`: equal rows, equal numbers, on every machine.

    Rows sorted by it are in an order that depends on neither their former order nor their names. AES-256 under a key
    made of the seed is the pseudo-random function, a digest is one block, its first half the number.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES256(hashlib.sha256(b"holdfast order %d" % seed).digest()), modes.ECB()).encryptor()
    keys = np.empty(len(digests), np.uint64)
    for start in range(0, len(digests), BLOCK_ROWS):
        sealed = cipher.update(digests[start : start + BLOCK_ROWS].tobytes())
        keys[start : start + BLOCK_ROWS] = np.frombuffer(sealed, "<u8")[::2]
    return keys


def content_id(digests: RowArray, y: Array) -> str:
    """The identity of a set of rows with their targets, as 64 hex digits; the order of rows does not count.

    SHA-256 over a header and the rows in ascending order, each its digest followed by the bytes of its target.
    """
    targets = y.astype(y.dtype.newbyteorder("<"), copy=False).reshape(len(y), -1)
    header = f"holdfast content 2 {targets.dtype.str} {targets.shape[1]}".encode()

    def members() -> Iterator[NDArray[np.uint8]]:
        for start, block in digest_blocks(digests):
            target = np.ascontiguousarray(targets[start : start + len(block)])
            yield np.column_stack([block, target.view(np.uint8).reshape(len(block), -1)])

    return _set_hash(header, members, DIGEST_BYTES + targets.dtype.itemsize * targets.shape[1], len(digests))


def rows_id(digests: RowArray, rows: NDArray[np.bool_] | None = None) -> str:
    """The identity of a set of different rows without targets, as 64 hex digits; order does not count.

    Args:
        digests: (n, 16).
        rows: (n,) Which of them count; all by default.
    """

    def members() -> Iterator[NDArray[np.uint8]]:
        for start, block in digest_blocks(digests):
            yield block if rows is None else block[rows[start : start + len(block)]]

    return _set_hash(b"holdfast rows 2", members, DIGEST_BYTES, len(digests), is_distinct=True)


def digest_blocks(digests: RowArray) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Digests a block at a time, each with the place of its first row."""
    places = range(0, len(digests), BLOCK_ROWS)
    return ((start, np.ascontiguousarray(digests[start : start + BLOCK_ROWS])) for start in places)


def equal_to_marked(digests: RowArray, is_marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) Which rows that are not marked equal a marked one."""
    blocks = digest_blocks(digests)
    words = [first_words(block[is_marked[at : at + len(block)]]) for at, block in blocks]
    known = np.sort(np.concatenate(words)) if words else np.zeros(0, np.uint64)
    near = np.zeros(len(is_marked), bool)
    if not len(known):
        return near
    for at, block in digest_blocks(digests):
        asked = first_words(block)
        near[at : at + len(block)] = known[np.minimum(np.searchsorted(known, asked), len(known) - 1)] == asked
    near &= ~is_marked
    rows = np.flatnonzero(near)
    if len(rows):
        candidates = digests[rows]
        marked = [block[is_marked[at : at + len(block)]] for at, block in digest_blocks(digests)]
        asked = first_words(candidates)
        others = np.concatenate([block[np.isin(first_words(block), asked)] for block in marked])
        near[rows] = np.isin(as_items(candidates), as_items(others))
    return near


def first_words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first eight bytes of each: enough to tell most digests apart."""
    return digests[:, :8].copy().view(np.uint64).ravel()


def as_items(digests: NDArray[np.uint8]) -> NDArray[np.void]:
    """Digests as things that can be compared."""
    return np.ascontiguousarray(digests).view(f"V{digests.shape[1]}").ravel()


def ascending(members: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The order in which (n, bytes) members ascend, bytes compared from the first on; equal ones keep theirs."""
    words = members[:, :8].copy().view(">u8").ravel().astype(np.uint64)
    order = np.argsort(words)
    is_tied = np.zeros(len(order), bool)
    if len(order) > 1:
        same = words[order[1:]] == words[order[:-1]]
        is_tied[1:] |= same
        is_tied[:-1] |= same
    tied = np.flatnonzero(is_tied)
    if len(tied):  # most members differ in their first word: only a few are compared as a whole
        rows = np.sort(order[tied])
        order[tied] = rows[np.lexsort(members[rows].T[::-1])]
    return order


def _set_hash(
    header: bytes,
    members: Callable[[], Iterable[NDArray[np.uint8]]],
    width: int,
    count: int,
    *,
    is_distinct: bool = False,
) -> str:
    """SHA-256 over members in ascending order, sorted part by part, so that few of them are in memory."""
    num_parts = max(1, -(-count * width // SORT_BYTES))
    total = hashlib.sha256(header)
    for part in range(num_parts):
        found = np.concatenate(
            [block[_part_of(block, num_parts) == part] for block in members()] or [np.empty((0, width), np.uint8)]
        )
        order = ascending(found)
        before = np.zeros((0, width), np.uint8)
        for start in range(0, len(order), PIECE_ROWS):
            piece = found[order[start : start + PIECE_ROWS]]
            if is_distinct:
                is_new = np.ones(len(piece), bool)
                is_new[1:] = (piece[1:] != piece[:-1]).any(axis=1)
                is_new[:1] = not np.array_equal(piece[:1], before)
                before, piece = piece[-1:], piece[is_new]
            total.update(np.ascontiguousarray(piece).data)
    return total.hexdigest()


def _part_of(members: NDArray[np.uint8], num_parts: int) -> NDArray[np.int64]:
    """Which of so many stretches of about equal length a digest falls into."""
    return (members[:, 0].astype(np.int64) * 256 + members[:, 1]) * num_parts >> 16


def mapped(digest_of: Callable[[bytes], bytes], size: int, digests: RowArray) -> NDArray[np.uint8]:
    """(n, size) What a function gives for every digest; few of them at a time become objects."""
    found, width = np.empty((len(digests), size), np.uint8), digests.shape[1]
    for start in range(0, len(digests), PIECE_ROWS):
        piece = digests[start : start + PIECE_ROWS].tobytes()
        rows = [digest_of(piece[place : place + width]) for place in range(0, len(piece), width)]
        found[start : start + PIECE_ROWS] = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, size)
    return found
