"""Test rows that stand, or almost stand, on the other side: counts for the manifest, never rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from holdfast.data.rows import blocks_of
from holdfast.vault.rows.arrays import RowArray
from holdfast.vault.rows.digest_sets import as_items, equal_to_marked

Mask = NDArray[np.bool_]
HASH_SIZE = 16
MAX_DISTANCE = 12
MIN_SIZE = 16
BLOCK = 512


def units_of(digests: NDArray[np.uint8], groups: NDArray[np.int64], is_new: Mask | None = None) -> NDArray[np.uint8]:
    """(n, 16) One digest for all rows that must stay on one side: equal rows, and rows of one group.

    It is the least digest among them, so that it depends on no order.

    Args:
        digests: (n, 16) of the rows.
        groups: (n,) numbers.
        is_new: (n,) Rows that were appended: the digest is that of a row that was there before, where there is one.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    is_linked = np.bincount(numbers)[numbers] > 1
    if not is_linked.any():
        return digests
    # Rows with the digest of a linked one come along, whatever their own group.
    rows = np.flatnonzero(is_linked | equal_to_marked(digests, is_linked))
    units = digests.copy()
    new = np.zeros(len(rows), bool) if is_new is None else is_new[rows]
    units[rows] = _joined_units(digests[rows], numbers[rows], new)
    return units


def _joined_units(digests: NDArray[np.uint8], groups: NDArray[np.int64], is_new: Mask) -> NDArray[np.uint8]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, row_of = np.unique(as_items(digests), return_inverse=True)  # numbers that ascend with the digests
    group_of = groups + int(row_of.max()) + 1
    num_nodes = int(group_of.max()) + 1
    graph = coo_array((np.ones(len(groups), bool), (row_of, group_of)), shape=(num_nodes, num_nodes))
    part_of = connected_components(graph, directed=False)[1][row_of]
    order = np.lexsort((row_of, is_new, part_of))
    is_first = np.ones(len(order), bool)
    is_first[1:] = part_of[order][1:] != part_of[order][:-1]
    least = np.zeros(num_nodes, np.int64)
    least[part_of[order][is_first]] = order[is_first]
    return np.ascontiguousarray(digests[least[part_of]])


def count_near_duplicates(x: RowArray, test: Mask, development: Mask) -> int:
    """Test images that have a development image of almost the same look.

    Differences of neighbours in a 16 x 17 thumbnail (dHash, Krawetz 2013), 256 bits; near is at most 12 apart.
    """
    looks = np.concatenate([perceptual_hashes(block) for _, block in blocks_of(x)])
    sealed, others = looks[test], looks[development]
    is_near = np.zeros(len(sealed), bool)
    for start in range(0, len(sealed), BLOCK):
        block = sealed[start : start + BLOCK]
        for place in range(0, len(others), BLOCK * 8):
            distance = np.zeros((len(block), len(others[place : place + BLOCK * 8])), np.uint16)
            for word in range(block.shape[1]):
                distance += np.bitwise_count(block[:, word, None] ^ others[None, place : place + BLOCK * 8, word])
            is_near[start : start + BLOCK] |= (distance <= MAX_DISTANCE).any(axis=1)
    return int(is_near.sum())


def perceptual_hashes(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, 4) The dHash of (n, H, W, C) images of 16 x 17 pixels or more."""
    grey = images.mean(axis=3, dtype=np.float32)
    rows = _means(grey, HASH_SIZE, axis=1)
    thumbnails = _means(rows, HASH_SIZE + 1, axis=2)
    bits = thumbnails[:, :, 1:] > thumbnails[:, :, :-1]
    packed = np.packbits(bits.reshape(len(images), -1), axis=1)
    return np.ascontiguousarray(packed).view(np.uint64)


def has_thumbnails(x: RowArray) -> bool:
    """Tell whether images are large enough to be compared by their look."""
    return x.ndim == 4 and x.dtype == np.uint8 and x.shape[1] >= MIN_SIZE and x.shape[2] > MIN_SIZE


def _means(values: NDArray[np.float32], size: int, axis: int) -> NDArray[np.float32]:
    """Averages over `size` stretches of almost equal length along an axis."""
    edges = np.linspace(0, values.shape[axis], size + 1).astype(np.int64)
    sums = np.add.reduceat(values, edges[:-1], axis=axis)
    lengths = np.diff(edges).astype(np.float32)
    means: NDArray[np.float32] = np.divide(sums, lengths[:, None] if axis == 1 else lengths, dtype=np.float32)
    return means
