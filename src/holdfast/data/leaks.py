"""What of the test part stands, or almost stands, on the other side: counts for the manifest, never rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.vault.identity import RowArray

Mask = NDArray[np.bool_]
HASH_SIZE = 16
MAX_DISTANCE = 12
MIN_SIZE = 16
BLOCK = 512


def units_of(digests: NDArray[np.uint8], groups: NDArray[np.int64] | None) -> NDArray[np.uint8]:
    """(n, 16) One digest for all rows that must stay on one side: equal rows, rows of one group, and so on.

    It is the least digest among them, so that it depends on no order.
    """
    if groups is None:
        return digests
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    items = as_items(digests)
    distinct, row_of = np.unique(items, return_inverse=True)
    names, group_of = np.unique(groups, return_inverse=True)
    nodes = len(distinct) + len(names)
    edges = (row_of, len(distinct) + group_of)
    _, parts = connected_components(coo_array((np.ones(len(items)), edges), shape=(nodes, nodes)), directed=False)
    part_of = parts[row_of]
    order = np.lexsort((row_of, part_of))  # `distinct` is sorted, so the least digest of a part comes first
    is_first = np.ones(len(order), bool)
    is_first[1:] = part_of[order][1:] != part_of[order][:-1]
    least = np.zeros(nodes, np.int64)
    least[part_of[order][is_first]] = order[is_first]
    return np.ascontiguousarray(digests[least[part_of]])


def as_items(digests: NDArray[np.uint8]) -> NDArray[np.void]:
    """Digests as things that can be compared."""
    return np.ascontiguousarray(digests).view(f"V{digests.shape[1]}").ravel()


def is_among(digests: NDArray[np.uint8], others: NDArray[np.uint8]) -> Mask:
    """(n,) Which digests occur among others: found by their first eight bytes, then compared as a whole."""
    if not len(others):
        return np.zeros(len(digests), bool)
    known, words = np.sort(_first_words(others)), _first_words(digests)
    found: Mask = known[np.minimum(np.searchsorted(known, words), len(known) - 1)] == words
    near = np.flatnonzero(found)
    found[near] = np.isin(as_items(digests[near]), as_items(others))
    return found


def _first_words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(digests[:, :8]).view(np.uint64).ravel()


def count_time_overlap(times: NDArray[Any], test: Mask, development: Mask) -> int:
    """Development rows that are not older than the oldest test row: a forecast would be trained on its future."""
    return int((times[development] >= times[test].min()).sum())


def count_near_duplicates(x: RowArray, test: Mask, development: Mask) -> int:
    """Test images that have a development image of almost the same look.

    Differences of neighbours in a 16 x 17 thumbnail (dHash, Krawetz 2013), 256 bits; near is at most 12 apart.
    """
    sealed, others = perceptual_hashes(x[test]), perceptual_hashes(x[development])
    found = np.zeros(len(sealed), bool)
    for start in range(0, len(sealed), BLOCK):
        block = sealed[start : start + BLOCK]
        for place in range(0, len(others), BLOCK * 8):
            distance = np.zeros((len(block), len(others[place : place + BLOCK * 8])), np.uint16)
            for word in range(block.shape[1]):
                distance += np.bitwise_count(block[:, word, None] ^ others[None, place : place + BLOCK * 8, word])
            found[start : start + BLOCK] |= (distance <= MAX_DISTANCE).any(axis=1)
    return int(found.sum())


def perceptual_hashes(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, 4) The dHash of (n, H, W, C) images of 16 x 17 pixels or more."""
    grey = images.mean(axis=3, dtype=np.float32)
    rows = _means(grey, HASH_SIZE, axis=1)
    thumbnails = _means(rows, HASH_SIZE + 1, axis=2)
    bits = thumbnails[:, :, 1:] > thumbnails[:, :, :-1]
    packed = np.packbits(bits.reshape(len(images), -1), axis=1)
    return np.ascontiguousarray(packed).view(np.uint64)


def has_thumbnails(x: RowArray) -> bool:
    """Whether images are large enough to be compared by their look."""
    return x.ndim == 4 and x.dtype == np.uint8 and x.shape[1] >= MIN_SIZE and x.shape[2] > MIN_SIZE


def _means(values: NDArray[np.float32], size: int, axis: int) -> NDArray[np.float32]:
    """Averages over `size` stretches of almost equal length along an axis."""
    edges = np.linspace(0, values.shape[axis], size + 1).astype(np.int64)
    sums = np.add.reduceat(values, edges[:-1], axis=axis)
    lengths = np.diff(edges).astype(np.float32)
    means: NDArray[np.float32] = np.divide(sums, lengths[:, None] if axis == 1 else lengths, dtype=np.float32)
    return means
