"""The facts of rows that a split is given, the order that they are chosen in, and what neither may be.

Shares of rows keep equal rows together; subsets of the train rows are for learning curves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.tasks import task_of
from holdfast.data.rows import TEST, stratum_of
from holdfast.vault.rows.digest_sets import order_keys, places_in

Mask = NDArray[np.bool_]
Digests = NDArray[np.uint8]
Strata = NDArray[Any] | None  # whole numbers
Keys = NDArray[np.uint64]
PARTS = ("train", "val", "test")
SUBSETS = "a share of the train rows, above 0 and up to 1, as in 0.1, or a count, as in 500"
SUBSET_SEED = 0x5B5E7  # the order of rows in a subset is not that by which test and val rows were chosen


@dataclass(frozen=True, eq=False)
class SplitFacts:
    """The facts of each row that a split may know."""

    units: Digests  # (n, bytes) one digest for all rows that stay on one side: equal rows, and rows of one group
    strata: Strata = None  # (n,) the class of each row; None for tasks without classes
    # (n,) number of the declared group of each row; None where no groups were declared, or no longer
    groups: NDArray[np.int64] | None = None
    times: NDArray[Any] | None = None  # (n,) when each row was taken, as a number; None where that is not known
    # (n,) int8, what the source declares: 0 train, 1 val, 2 test; None where nothing is declared
    parts: NDArray[np.int8] | None = None
    # (n,) or (n, targets) the values of a regression; None for other tasks
    targets: NDArray[np.float32] | None = None
    # (n,) rows that were appended since test rows were chosen: they move no other row; None: there are none
    is_new: Mask | None = None

    def __len__(self) -> int:
        return len(self.units)

    @property
    def has_test_part(self) -> bool:
        """True if some rows are declared test rows."""
        return self.parts is not None and bool((self.parts == TEST).any())

    def of(self, rows: Mask | NDArray[np.int64]) -> SplitFacts:
        """The facts of some of the rows."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value[rows] for name, value in known.items() if value is not None})


def facts_of(rows: Any, units: Digests, is_new: Mask | None = None) -> SplitFacts:
    """The facts of rows that a split may know, from `Rows` or from `store.Prepared` rows."""
    return SplitFacts(
        units,
        strata=stratum_of(rows.y, rows.task),
        groups=rows.groups,
        times=rows.times,
        parts=rows.parts,
        targets=rows.y if task_of(rows.task).is_values else None,
        is_new=is_new,
    )


class Split(Protocol):
    """A split, as an option of the group `split` names it."""

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The test part of all rows."""

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The val part of the rows that are not test, whose facts these are."""

    def test_rule(self) -> dict[str, Any]:
        """The settings that fix the test part, and no others, as JSON."""


def units_in_order(units: Digests, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) The number of each row's unit, counted in the order of their keys, and the rows of each unit."""
    _, unit_of, sizes = np.unique(order_keys(units, seed), return_inverse=True, return_counts=True)
    return unit_of, sizes


def check_enough(facts: SplitFacts, strata: Strata) -> None:
    """Refuse fewer than three different rows, and a class or range of fewer than three rows."""
    distinct = len(units_in_order(facts.units, 0)[1])
    if distinct < len(PARTS):
        rows = f"{len(facts)} rows hold {distinct} different one{'s' if distinct > 1 else ''}"
        if facts.groups is not None:
            rows = f"{len(facts)} rows are of {len(np.unique(facts.groups))} groups, {distinct} apart from equal rows"
        raise InputError("split", f"the {rows}, too few for train, val and test")
    if strata is None:
        return
    values, counts = np.unique(strata, return_counts=True)
    if (counts < len(PARTS)).any():
        value, count = values[counts < len(PARTS)][0], counts[counts < len(PARTS)][0]
        name, advice = ("class", "add rows, or split=holdout split.stratify=false")
        if facts.targets is not None:
            name, advice = ("range", "a smaller split.num_bins")
        problem = f"{name} {value} has {count} row{'s' if count > 1 else ''}, too few for train, val and test"
        raise InputError("split", problem, next=advice)


def check_parts(parts: dict[str, Mask], facts: SplitFacts, where: str) -> None:
    """Refuse a part without rows: there are too few, or one group or repeated row fills another part."""
    if empty := [name for name, mask in parts.items() if not mask.any()]:
        sizes = units_in_order(facts.units, 0)[1]
        reason = f"{len(facts)} rows, {len(sizes)} different"
        if sizes.max() > 1:
            reason += f", of which {sizes.max()} stay together: they are equal or of one group"
        raise InputError(where, f"leaves no row for {empty[0]} ({reason})")


def valid_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """The shares of train, val and test; anything but three positive numbers with sum 1 is refused."""
    values = tuple(fractions)
    is_whole = abs(sum(values) - 1) <= 1e-6
    if len(values) != len(PARTS) or not is_whole or not all(value > 0 for value in values):
        problem = f"is {list(values)} with sum {sum(values):g}"
        raise InputError("split.fractions", problem, "three positive numbers with sum 1, as in [0.6,0.2,0.2]")
    return values


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
