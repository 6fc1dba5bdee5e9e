"""Rows in the order of their keys: shares of them that keep equal rows together, and subsets of the train rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.splits.facts import Digests, Mask, SplitFacts, Strata, units_in_order
from holdfast.vault.rows.digest_sets import order_keys, places_in

Keys = NDArray[np.uint64]
SUBSETS = "a share of the train rows, above 0 and up to 1, as in 0.1, or a count, as in 500"
SUBSET_SEED = 0x5B5E7  # the order of rows in a subset is not that by which test and val rows were chosen


def strata_of_units(strata: Strata, unit_of: NDArray[np.int64], num_units: int) -> NDArray[Any]:
    """The stratum of each unit: a unit of rows of several classes counts where its lowest class does."""
    if strata is None:
        return np.zeros(num_units, np.int64)
    lowest = np.full(num_units, np.iinfo(strata.dtype).max, strata.dtype)
    np.minimum.at(lowest, unit_of, strata)
    return lowest


def first_rows(units: Digests, strata: Strata, fraction: float, seed: int) -> Mask:
    """(n,) In each stratum, the first units by order key that together come nearest to its share of the rows."""
    unit_of, sizes = units_in_order(units, seed)
    stratum_of = strata_of_units(strata, unit_of, len(sizes))
    is_first = np.zeros(len(sizes), bool)
    counts = largest_remainder(np.bincount(stratum_of, weights=sizes), fraction)
    for stratum, count in enumerate(counts.tolist()):
        mine = np.flatnonzero(stratum_of == stratum)
        ends = np.concatenate([[0], np.cumsum(sizes[mine])])
        is_first[mine[: np.argmin(np.abs(ends - count))]] = True
    return is_first[unit_of]


def with_new_rows(
    facts: SplitFacts, seed: int, of_known: Callable[[SplitFacts], NDArray[Any]], of_new: Callable[[Keys], NDArray[Any]]
) -> NDArray[Any]:
    """(n,) Decisions about rows: about known ones as if there were no others, so that new rows move none of them.

    A new row goes with a known one of its unit; where there is none, its order key decides.

    `of_known` decides from facts, `of_new` from order keys alone.
    """
    if facts.is_new is None or facts.is_new.all():
        return of_known(facts)
    keys = order_keys(facts.units, seed)
    known, place_of = np.unique(keys[~facts.is_new], return_index=True)
    decided = of_known(facts.of(~facts.is_new))[place_of]
    places = places_in(known, keys)
    return np.where(places >= 0, decided[places], of_new(keys))


def strata_of(facts: SplitFacts, *, stratify: bool, num_bins: int | None = None) -> Strata:
    """(n,) The classes of rows, or ranges of a regression's targets of as many rows each.

    Raises:
        InputError: Ranges are asked for of several targets.
    """
    if not stratify or num_bins is None or facts.targets is None:
        return facts.strata if stratify else None
    if facts.targets.ndim > 1:
        problem = f"makes ranges of one target, and there are {facts.targets.shape[1]}"
        raise InputError("split.num_bins", problem, next="a split without ranges, such as split=holdout")
    num_bins = max(1, min(num_bins, len(facts) // 3))
    edges = np.quantile(facts.targets, np.arange(1, num_bins) / num_bins)
    return np.searchsorted(edges, facts.targets, side="right").astype(np.int64)


def val_share(facts: SplitFacts, fraction: float, seed: int, *, stratify: bool, num_bins: int | None = None) -> Mask:
    """(n,) A share of all rows, of every stratum (`strata_of`); new rows by their order key."""

    def of_known(known: SplitFacts) -> Mask:
        return first_rows(known.units, strata_of(known, stratify=stratify, num_bins=num_bins), fraction, seed)

    return with_new_rows(facts, seed, of_known, lambda keys: is_first_share(keys, fraction))


def is_first_share(keys: Keys, fraction: float) -> Mask:
    """(n,) Mask of order keys that lie in the first share of all that there could be."""
    return np.asarray(keys <= np.uint64(fraction * (2.0**64 - 2.0**12)))


def largest_remainder(sizes: NDArray[Any], fraction: float) -> NDArray[np.int64]:
    """Whole numbers of rows, one a stratum: each within one of its share, their sum the share of all rows."""
    shares = sizes * fraction
    counts = np.floor(shares + 1e-9).astype(np.int64)
    missing = int(np.rint(sizes.sum() * fraction)) - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:missing]] += 1
    return counts


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


def check_subset(subset: Any, num_rows: int) -> None:
    """Refuse a count that not even train and val rows together reach: told before anything is sealed."""
    if isinstance(subset, int) and subset > num_rows:
        raise InputError("data.subset", f"is {subset:,}; there are {num_rows:,} train and val rows", SUBSETS)


def subset_of(
    train: NDArray[np.int64], digests: Digests, strata: Strata, subset: float | int | None
) -> NDArray[np.int64]:
    """A part of the train rows, for learning curves: the first indices of an order that spreads the classes evenly.

    A class of m rows has its i-th at (i + 1/2) / m, by the order of the rows' keys; so any number of first rows has
    each class in its share, within one row, and more rows only add to them.

    Args:
        train: (t,) indices of all train rows, ascending.
        digests: (n, bytes) content digests of the development rows.
        strata: (n,) their classes; None for tasks without classes.
        subset: A share or a count, of two rows or more; None or 1: all.
    """
    if subset is None or subset == 1:
        return train
    # A record from elsewhere may hold a share that no number of rows is.
    count = subset if isinstance(subset, int) else round(min(max(subset, 0.0), 2.0) * len(train))
    if not 2 <= count <= len(train):
        problem = f"is {subset}, which makes {count} rows" if isinstance(subset, float) else f"is {subset}"
        raise InputError("data.subset", f"{problem}; there are {len(train):,} train rows", SUBSETS)
    keys = order_keys(digests[train], SUBSET_SEED)
    classes = np.zeros(len(train), np.int64) if strata is None else strata[train]
    order = np.lexsort((keys, classes))
    sizes = np.unique(classes, return_counts=True)[1]
    within = np.arange(len(train)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    places = (within + 0.5) / np.repeat(sizes, sizes)
    return np.sort(train[order[np.lexsort((keys[order], places))[:count]]])
