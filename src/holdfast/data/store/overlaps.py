"""Test rows that stand, or almost stand, on the other side: counts for the manifest, never rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from holdfast.data.rows import blocks_of
from holdfast.vault.rows.digest_sets import as_items, equal_to_marked
from holdfast.vault.rows.identity import RowArray

Mask = NDArray[np.bool_]
HASH_SIZE = 16
MAX_DISTANCE = 12


def units_of(digests: RowArray, groups: NDArray[np.int64] | None, is_new: Mask | None = None) -> RowArray:
    """(n, 16) One digest for all rows that must stay on one side: equal rows, and rows of one group.

    It is the least digest among them, so that it depends on no order.

    Args:
        digests: (n, 16) of the rows.
        groups: (n,) numbers; None: none are declared.
        is_new: (n,) Rows that were appended: the digest is that of a row that was there before, where there is one.
    """
    numbers = np.zeros(0, np.int64) if groups is None else np.unique(groups, return_inverse=True)[1]
    is_linked = np.bincount(numbers)[numbers] > 1
    if not is_linked.any():
        return digests
    # Rows with the digest of a linked one come along, whatever their own group.
    rows = np.flatnonzero(is_linked | equal_to_marked(digests, is_linked))
    units = np.array(digests[:])
    new = np.zeros(len(rows), bool) if is_new is None else is_new[rows]
    units[rows] = _joined_units(units[rows], numbers[rows], new)
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
    from sklearn.metrics import pairwise_distances_argmin_min

    looks = np.concatenate([perceptual_hashes(block) for _, block in blocks_of(x)])
    if not test.any() or not development.any():
        return 0
    _, distances = pairwise_distances_argmin_min(looks[test], looks[development], metric="sqeuclidean")
    return int((np.rint(distances) <= MAX_DISTANCE).sum())


def perceptual_hashes(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 256) The dHash of (n, H, W, C) images of 16 x 17 pixels or more, as numbers 0 and 1."""
    grey = images.mean(axis=3, dtype=np.float32)
    rows = np.stack([part.mean(axis=1) for part in np.array_split(grey, HASH_SIZE, axis=1)], axis=1)
    thumbnails = np.stack([part.mean(axis=2) for part in np.array_split(rows, HASH_SIZE + 1, axis=2)], axis=2)
    return (thumbnails[:, :, 1:] > thumbnails[:, :, :-1]).reshape(len(images), -1).astype(np.float32)


def has_thumbnails(x: RowArray) -> bool:
    """Tell whether images are large enough to be compared by their look."""
    return x.ndim == 4 and x.dtype == np.uint8 and x.shape[1] >= HASH_SIZE and x.shape[2] > HASH_SIZE
