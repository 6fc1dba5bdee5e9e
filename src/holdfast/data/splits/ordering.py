"""Rows in the order of their keys, and shares of them that keep equal rows together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.splits.facts import Digests, Mask, SplitFacts, Strata
from holdfast.vault.rows.digest_sets import order_keys, places_in

Keys = NDArray[np.uint64]


def units_in_order(units: Digests, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) The number of each row's unit, counted in the order of their keys, and the rows of each unit."""
    _, unit_of, sizes = np.unique(order_keys(units, seed), return_inverse=True, return_counts=True)
    return unit_of, sizes


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
