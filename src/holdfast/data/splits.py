"""Splits: which rows are test and which are val, decided by what the rows hold, never by where they stand.

Rows are put in the order of a keyed hash of their content (`vault.identity.order_keys`), within each stratum, and a
part takes the first of them. The outcome does not depend on the order of rows, on names or on the machine, and rows
with equal features stay on one side. A split decides in two steps: the test part once, by `test_rule`; the val part
over the rows that are left, as often as one likes. Both are given the facts of the rows, never the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.vault.identity import order_keys

Mask = NDArray[np.bool_]
Digests = NDArray[np.uint8]
Strata = NDArray[np.int64] | None
PARTS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class SplitFacts:
    """What a split may know of each row.

    Attributes:
        units: (n, bytes) One digest for all rows that stay on one side: equal rows, and rows of one group.
        strata: (n,) The class of each row; None for tasks without classes.
        official: (n,) True for the rows of a published test part; None where there is none, or no longer.
        groups: (n,) Number of the declared group of each row; None where no groups were declared.
        times: (n,) When each row was taken, as a number; None where that is not known.
        parts: (n,) int8, what a column or files declare: 0 train, 1 val, 2 test; None where nothing is declared.
        targets: (n,) The targets of a regression; None for other tasks.
    """

    units: Digests
    strata: Strata = None
    official: Mask | None = None
    groups: NDArray[np.int64] | None = None
    times: NDArray[Any] | None = None
    parts: NDArray[np.int8] | None = None
    targets: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.units)

    def of(self, rows: Mask | NDArray[np.int64]) -> SplitFacts:
        """The facts of some of the rows."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value[rows] for name, value in known.items() if value is not None})


class Split(Protocol):
    """What an option of the group `split` names."""

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The test part of all rows."""

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The val part of the rows that are not test, whose facts these are."""

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else, as JSON."""

    def test_cuts(self, facts: SplitFacts, test: Mask) -> list[dict[str, Any]]:
        """Where the rule has cut each stratum, so that more rows can be assigned later in the same way; or nothing."""


@dataclass(frozen=True)
class Holdout:
    """Shares of the rows for train, val and test.

    Attributes:
        fractions: Train, val and test; positive, with sum 1.
        seed: Fixes the test part.
        val_seed: Fixes the val part among the other rows; None is `seed`.
        stratify: Every class has these shares, within one row.
    """

    fractions: Sequence[float] = (0.6, 0.2, 0.2)
    seed: int = 0
    val_seed: int | None = None
    stratify: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", _valid_fractions(self.fractions))
        _check_seed("split.seed", self.seed)
        _check_seed("split.val_seed", self.seed if self.val_seed is None else self.val_seed)

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The test part of all rows; one that is declared or official is not looked at.

        Raises:
            InputError: A part would be empty, or a class has too few rows.
        """
        strata = facts.strata if self.stratify else None
        _check_enough(facts.units, strata)
        test = _first_rows(facts.units, strata, self.fractions[2], self.seed)
        _check_parts({"test": test, "train and val": ~test}, facts.units, "split.fractions")
        return test

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The val part of the rows that are not test."""
        train, val, _ = self.fractions
        seed = self.seed if self.val_seed is None else self.val_seed
        mask = _first_rows(facts.units, facts.strata if self.stratify else None, val / (train + val), seed)
        _check_parts({"val": mask, "train": ~mask}, facts.units, "split.fractions")
        return mask

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else."""
        return {"split": "holdout", "test_fraction": self.fractions[2], "seed": self.seed, "stratify": self.stratify}

    def test_cuts(self, facts: SplitFacts, test: Mask) -> list[dict[str, Any]]:
        """The greatest order key of each stratum's test rows, as 16 hex digits, and their number."""
        keys = order_keys(facts.units, self.seed)
        classes = facts.strata if self.stratify and facts.strata is not None else np.zeros(len(facts), np.int64)
        cuts = []
        for stratum in np.unique(classes).tolist():
            chosen = keys[test & (classes == stratum)]
            cut = f"{int(chosen.max()):016x}" if len(chosen) else ""
            cuts.append({"stratum": stratum, "test": len(chosen), "cut": cut})
        return cuts


@dataclass(frozen=True)
class Official:
    """The test part that was published with the data; val is a share of the rest.

    Attributes:
        val_fraction: Share of val among the rows that are not test, between 0 and 1.
        seed: Fixes the val part.
        stratify: Every class has this share, within one row.
    """

    val_fraction: float = 1 / 6
    seed: int = 0
    stratify: bool = True

    def __post_init__(self) -> None:
        if not _is_number(self.val_fraction) or not 0 < self.val_fraction < 1:
            raise InputError("split.val_fraction", f"is {self.val_fraction!r}", allowed="a number between 0 and 1")
        _check_seed("split.seed", self.seed)

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The published test part.

        Raises:
            InputError: There is none, or it is empty or everything.
        """
        if facts.official is None:
            raise InputError("split", "this data set has no official test part", next="choose split=holdout")
        _check_parts({"test": facts.official, "train and val": ~facts.official}, facts.units, "split")
        return facts.official

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The val part of the rows that are not test."""
        mask = _first_rows(facts.units, facts.strata if self.stratify else None, self.val_fraction, self.seed)
        _check_parts({"val": mask, "train": ~mask}, facts.units, "split.val_fraction")
        return mask

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else."""
        return {"split": "official"}

    def test_cuts(self, facts: SplitFacts, test: Mask) -> list[dict[str, Any]]:
        """None: the rows were published."""
        return []


def _first_rows(digests: Digests, strata: Strata, fraction: float, seed: int) -> Mask:
    """In each stratum, the first share of rows by order key; rows with equal digests go together."""
    order, group_of_sorted = _sorted_groups(digests, seed)
    sizes = np.bincount(group_of_sorted)
    starts = np.cumsum(sizes) - sizes
    # A group of equal rows with different classes counts where its lowest class does.
    classes = np.zeros(len(digests), np.int64) if strata is None else strata
    stratum = np.minimum.reduceat(classes[order], starts)
    names, stratum = np.unique(stratum, return_inverse=True)
    targets = _largest_remainder(np.bincount(stratum, weights=sizes), fraction)
    chosen = np.zeros(len(sizes), bool)
    for index in range(len(names)):
        groups = np.flatnonzero(stratum == index)
        chosen[groups[: _nearest_count(sizes[groups], targets[index])]] = True
    mask = np.zeros(len(digests), bool)
    mask[order] = chosen[group_of_sorted]
    return mask


def _sorted_groups(digests: Digests, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows by (order key, digest), and for each of them the number of its group of equal rows."""
    words = np.ascontiguousarray(digests).view(">u8").reshape(len(digests), -1)
    order = np.lexsort((*words.T[::-1], order_keys(digests, seed)))
    is_new = (words[order][1:] != words[order][:-1]).any(axis=1)
    return order, np.concatenate(([0], np.cumsum(is_new)))


def _largest_remainder(sizes: NDArray[Any], fraction: float) -> NDArray[np.int64]:
    """Whole numbers of rows, one a stratum: each within one of its share, their sum the share of all rows."""
    shares = sizes * fraction
    counts = np.floor(shares + 1e-9).astype(np.int64)
    missing = int(np.rint(sizes.sum() * fraction)) - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:missing]] += 1
    return counts


def _nearest_count(sizes: NDArray[np.int64], target: int) -> int:
    """How many leading groups together come nearest to `target` rows."""
    totals = np.concatenate(([0], np.cumsum(sizes)))
    return int(np.argmin(np.abs(totals - target)))


def _check_enough(digests: Digests, strata: Strata) -> None:
    distinct = _num_distinct(digests)
    if distinct < len(PARTS):
        rows = f"{len(digests)} rows hold {distinct} different one{'s' if distinct > 1 else ''}"
        raise InputError("split", f"the {rows}, too few for train, val and test")
    if strata is None:
        return
    values, counts = np.unique(strata, return_counts=True)
    for value in values[counts < len(PARTS)]:
        count = int(counts[values == value][0])
        what = f"class {value} has {count} row{'s' if count > 1 else ''}, too few for train, val and test"
        raise InputError("split", what, next="add rows, or split.stratify=false")


def _check_parts(parts: dict[str, Mask], digests: Digests, where: str) -> None:
    for name, mask in parts.items():
        if not mask.any():
            raise InputError(
                where, f"leaves no row for {name} ({len(digests)} rows, {_num_distinct(digests)} different)"
            )


def _num_distinct(digests: Digests) -> int:
    return len(np.unique(np.ascontiguousarray(digests).view(f"V{digests.shape[1]}")))


def _valid_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    allowed = "three positive numbers with sum 1, as in [0.6,0.2,0.2]"
    try:
        values = list(fractions)
    except TypeError:
        values = []
    shown = f"is {values if values else fractions!r}"
    if len(values) != len(PARTS) or not all(_is_number(value) and value > 0 for value in values):
        raise InputError("split.fractions", shown, allowed=allowed)
    if abs(sum(values) - 1) > 1e-6:
        raise InputError("split.fractions", f"{shown} with sum {sum(values):g}", allowed=allowed)
    return tuple(float(value) for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _check_seed(where: str, seed: object) -> None:
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise InputError(where, f"is {seed!r}", allowed="a whole number")
