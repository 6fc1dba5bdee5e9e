"""Rows in the order of their keys, and shares of them that keep equal rows together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.splits.facts import Digests, Mask, SplitFacts, Strata
from holdfast.vault.rows.digest_sets import BLOCK_ROWS, order_keys

Keys = NDArray[np.uint64]


def first_rows(units: Digests, strata: Strata, fraction: float, seed: int) -> Mask:
    """(n,) In each stratum, the first share of rows by order key; rows of one unit go together.

    A unit of rows of several classes counts where its lowest class does. Few numbers a row are in memory.
    """
    keys = order_keys(units, seed)
    classes = _classes_of_groups(keys, strata) if strata is not None else np.zeros(len(keys), np.int8)
    names, sizes = np.unique(classes, return_counts=True)
    mask = np.zeros(len(keys), bool)
    for name, count in zip(names.tolist(), largest_remainder(sizes, fraction).tolist(), strict=True):
        rows = classes == name
        cut = _cut(keys[rows], count)
        if cut is not None:
            mask |= rows & (keys <= cut)
    return mask


def with_new_rows(
    facts: SplitFacts, seed: int, of_known: Callable[[SplitFacts], NDArray[Any]], of_new: Callable[[Keys], NDArray[Any]]
) -> NDArray[Any]:
    """(n,) Decisions about rows: about known ones as if there were no others, so that new rows move none of them.

    A new row goes with a known one of its unit; where there is none, its order key decides.

    Args:
        facts: Of all rows.
        seed: Of the order keys.
        of_known: Decides about rows from their facts.
        of_new: Decides about rows from their order keys alone.
    """
    if facts.is_new is None or facts.is_new.all():
        return of_known(facts)
    keys = order_keys(facts.units, seed)
    known, place_of = np.unique(keys[~facts.is_new], return_index=True)
    decided = of_known(facts.of(~facts.is_new))[place_of]
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[place] == keys, decided[place], of_new(keys))


def strata_of(facts: SplitFacts, *, stratify: bool, num_bins: int | None = None) -> Strata:
    """(n,) The classes of rows, or ranges of a regression's targets of as many rows each."""
    if not stratify or num_bins is None or facts.targets is None:
        return facts.strata if stratify else None
    num_bins = max(1, min(num_bins, len(facts) // 3))
    edges = np.quantile(facts.targets, np.arange(1, num_bins) / num_bins)
    return np.searchsorted(edges, facts.targets, side="right").astype(np.int64)


def val_share(facts: SplitFacts, fraction: float, seed: int, *, stratify: bool, num_bins: int | None = None) -> Mask:
    """(n,) A share of all rows, of every stratum (`strata_of`); new rows by their order key."""

    def of_known(known: SplitFacts) -> Mask:
        return first_rows(known.units, strata_of(known, stratify=stratify, num_bins=num_bins), fraction, seed)

    return with_new_rows(facts, seed, of_known, lambda keys: is_first_share(keys, fraction))


def test_cuts(rule: Mapping[str, Any], facts: SplitFacts, test: Mask) -> list[dict[str, Any]]:
    """The greatest order key of each stratum's test rows, as 16 hex digits, and their number.

    There are none where test rows were declared, are late, are of whole groups or of ranges of values: ranges would
    tell of the test targets.
    """
    is_share = rule["split"] == "holdout" or (rule["split"] == "auto" and not facts.has_test_part)
    if not is_share or "num_bins" in rule:
        return []
    keys = order_keys(facts.units, rule["seed"])
    strata = strata_of(facts, stratify=rule["stratify"])
    classes = np.zeros(len(facts), np.int64) if strata is None else strata
    cuts = []
    for stratum in np.unique(classes).tolist():
        chosen = keys[test & (classes == stratum)]
        cut = f"{int(chosen.max()):016x}" if len(chosen) else ""
        cuts.append({"stratum": stratum, "test": len(chosen), "cut": cut})
    return cuts


def is_first_share(keys: Keys, fraction: float) -> Mask:
    """(n,) Mask of order keys that lie in the first share of all that there could be."""
    return np.asarray(keys <= np.uint64(fraction * (2.0**64 - 2.0**12)))


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
    """The number of different units."""
    keys = order_keys(units, 0)
    keys.sort()
    return len(keys[:1]) + int((keys[1:] != keys[:-1]).sum())


def largest_unit(units: Digests) -> int:
    """Rows of the largest unit."""
    return int(np.unique(order_keys(units, 0), return_counts=True)[1].max())


def _differs(words: NDArray[Any]) -> Mask:
    return np.asarray((words[1:] != words[:-1]).any(axis=1))


def _classes_of_groups(keys: Keys, strata: NDArray[Any]) -> NDArray[Any]:
    repeated = np.flatnonzero(_is_repeated(keys))
    if not len(repeated):
        return strata
    _, group_of = np.unique(keys[repeated], return_inverse=True)
    lowest = np.full(group_of.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(lowest, group_of, strata[repeated])
    classes = strata.copy()
    classes[repeated] = lowest[group_of]
    return classes


def _is_repeated(words: Keys) -> Mask:
    """(n,) Mask of words that occur more than once."""
    ordered = np.sort(words)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    is_repeated = np.zeros(len(words), bool)
    for start in range(0, len(words) if len(repeated) else 0, BLOCK_ROWS):
        is_repeated[start : start + BLOCK_ROWS] = np.isin(words[start : start + BLOCK_ROWS], repeated)
    return is_repeated


def _cut(keys: Keys, count: int) -> int | None:
    """The key up to which rows are taken: whole groups, together as near to `count` rows as can be; None: no row."""
    keys.sort()
    below = int(np.searchsorted(keys, keys[count], "left")) if count < len(keys) else len(keys)
    above = int(np.searchsorted(keys, keys[count - 1], "right")) if count else 0
    taken = below if count - below <= above - count else above
    return int(keys[taken - 1]) if taken else None
