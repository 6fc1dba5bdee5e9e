"""Rows in the order of their keys, and shares of them that keep equal rows together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.splits.facts import Digests, Mask, Strata
from holdfast.vault.identity import order_keys


def first_rows(units: Digests, strata: Strata, fraction: float, seed: int) -> Mask:
    """In each stratum, the first share of rows by order key; rows of one unit go together."""
    order, unit_of_sorted = sorted_units(units, seed)
    sizes = np.bincount(unit_of_sorted)
    stratum = strata_of_units(strata, order, sizes)
    names, stratum = np.unique(stratum, return_inverse=True)
    targets = largest_remainder(np.bincount(stratum, weights=sizes), fraction)
    chosen = np.zeros(len(sizes), bool)
    for index in range(len(names)):
        members = np.flatnonzero(stratum == index)
        chosen[members[: _nearest_count(sizes[members], targets[index])]] = True
    mask = np.zeros(len(units), bool)
    mask[order] = chosen[unit_of_sorted]
    return mask


def sorted_units(units: Digests, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows by (order key, digest), and for each of them the number of its unit."""
    keys = order_keys(units, seed)
    order = np.argsort(keys, kind="stable")
    words = np.ascontiguousarray(units).view(">u8").reshape(len(units), -1)
    is_new = _differs(words[order])
    # Other digests with the same key are as rare as keys are long; then, and only then, the digests decide.
    if (is_new & (keys[order][1:] == keys[order][:-1])).any():
        order = np.lexsort((*words.T[::-1], keys))
        is_new = _differs(words[order])
    return order, np.concatenate(([0], np.cumsum(is_new)))


def strata_of_units(strata: Strata, order: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stratum of each unit: a unit of rows of several classes counts where its lowest class does."""
    if strata is None:
        return np.zeros(len(sizes), np.int64)
    return np.minimum.reduceat(strata[order], np.cumsum(sizes) - sizes)


def largest_remainder(sizes: NDArray[Any], fraction: float) -> NDArray[np.int64]:
    """Whole numbers of rows, one a stratum: each within one of its share, their sum the share of all rows."""
    shares = sizes * fraction
    counts = np.floor(shares + 1e-9).astype(np.int64)
    missing = int(np.rint(sizes.sum() * fraction)) - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:missing]] += 1
    return counts


def num_units(units: Digests) -> int:
    """How many different units there are."""
    return len(np.unique(order_keys(units, 0)))


def largest_unit(units: Digests) -> int:
    """Rows of the largest unit."""
    return int(np.unique(order_keys(units, 0), return_counts=True)[1].max())


def _differs(words: NDArray[Any]) -> Mask:
    return np.asarray((words[1:] != words[:-1]).any(axis=1))


def _nearest_count(sizes: NDArray[np.int64], target: int) -> int:
    """How many leading units together come nearest to `target` rows."""
    totals = np.concatenate(([0], np.cumsum(sizes)))
    return int(np.argmin(np.abs(totals - target)))
