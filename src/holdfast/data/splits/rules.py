"""Splits: by shares, by what the data declares, by groups, by time, and folds for cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, require
from holdfast.data.rows import TEST, VAL
from holdfast.data.splits.facts import (
    PARTS,
    Mask,
    Split,
    SplitFacts,
    check_enough,
    check_parts,
    first_rows,
    is_first_share,
    strata_of,
    strata_of_units,
    units_in_order,
    val_share,
    valid_fractions,
    with_new_rows,
)
from holdfast.vault.rows.digest_sets import equal_to_marked

TestPart = Literal["auto", "holdout", "stratified", "predefined", "group", "time"]


@dataclass(frozen=True)
class Holdout:
    """Shares of the rows for train, val and test, each class or each range of values in its own."""

    fractions: Sequence[float] = (0.6, 0.2, 0.2)  # train, val and test; positive, with sum 1
    seed: int = 0  # fixes the test part
    val_seed: int | None = None  # fixes the val part among the other rows; None is `seed`
    stratify: bool = True  # every class has these shares, within one row
    # ranges of a regression's targets that have these shares as well; None: they are not looked at
    num_bins: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", valid_fractions(self.fractions))
        is_count = self.num_bins is None or self.num_bins >= 2
        require(is_count, "split.num_bins", self.num_bins, "a whole number, 2 or more")

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The test part of all rows, of every class; a part that is declared is not looked at."""
        strata = strata_of(facts, stratify=self.stratify, num_bins=self.num_bins)
        check_enough(facts, strata)
        test = first_rows(facts.units, strata, self.fractions[2], self.seed)
        check_parts({"test": test, "train and val": ~test}, facts, "split.fractions")
        return test

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The val part of the rows that are not test."""
        share, seed = _val_fraction(self.fractions), self.seed if self.val_seed is None else self.val_seed
        mask = val_share(facts, share, seed, stratify=self.stratify, num_bins=self.num_bins)
        check_parts({"val": mask, "train": ~mask}, facts, "split.fractions")
        return mask

    def test_rule(self) -> dict[str, Any]:
        """The settings that fix the test part."""
        rule = {"split": "holdout", "test_fraction": self.fractions[2], "seed": self.seed, "stratify": self.stratify}
        return rule if self.num_bins is None else rule | {"num_bins": self.num_bins}


@dataclass(frozen=True)
class Predefined:
    """The parts that the data declares: a published test part, a column, files or folders.

    Where it declares no val rows, they are a share of its train rows.
    """

    val_fraction: float = 0.2  # that share, between 0 and 1
    seed: int = 0  # fixes it
    stratify: bool = True  # every class has this share, within one row

    def __post_init__(self) -> None:
        require(0 < self.val_fraction < 1, "split.val_fraction", self.val_fraction, "a number between 0 and 1")

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The rows that are declared test; there must be some, and others."""
        if facts.parts is None:
            hint = "say data.split_column=COLUMN or data.test_path=FILE, or choose split=holdout"
            raise InputError("split", "this data set does not declare its parts", next=hint)
        test: Mask = facts.parts == TEST
        if not facts.has_test_part:
            hint = "say data.test_path=FILE, or choose split=holdout, which seals a share of all rows"
            raise InputError("split", "no row is declared a test row", next=hint)
        check_parts({"train and val": ~test}, facts, "split")
        return test

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The rows that are declared val, or a share of the train rows."""
        if facts.parts is not None and (facts.parts == VAL).any():
            mask: Mask = facts.parts == VAL
        else:
            mask = val_share(facts, self.val_fraction, self.seed, stratify=self.stratify)
        check_parts({"val": mask, "train": ~mask}, facts, "split")
        return mask

    def test_rule(self) -> dict[str, Any]:
        """The settings that fix the test part."""
        return {"split": "predefined"}


@dataclass(frozen=True)
class Auto:
    """`Predefined` where the data declares test rows (a column, files, folders), else `Holdout`."""

    # train, val and test, where they are not declared; positive, with sum 1
    fractions: Sequence[float] = (0.6, 0.2, 0.2)
    seed: int = 0  # fixes the test part
    val_seed: int | None = None  # fixes the val part among the other rows; None is `seed`
    stratify: bool = True  # every class has these shares, within one row

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", valid_fractions(self.fractions))

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The declared test part, or a share of all rows."""
        return Predefined().test_rows(facts) if facts.has_test_part else self._holdout().test_rows(facts)

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The declared val part, or a share of the rows that are not test."""
        seed = self.seed if self.val_seed is None else self.val_seed
        return Predefined(_val_fraction(self.fractions), seed, self.stratify).val_rows(facts)

    def test_rule(self) -> dict[str, Any]:
        """The settings that fix the test part."""
        return self._holdout().test_rule() | {"split": "auto"}

    def _holdout(self) -> Holdout:
        return Holdout(self.fractions, self.seed, self.val_seed, self.stratify)


@dataclass(frozen=True)
class Group:
    """Groups of rows (patients, scenes) for train, val and test, by order key, as near to these shares as they come."""

    fractions: Sequence[float] = (0.6, 0.2, 0.2)  # train, val and test; positive, with sum 1
    seed: int = 0  # fixes the test part
    val_seed: int | None = None  # fixes the val part among the other rows; None is `seed`

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", valid_fractions(self.fractions))

    def test_rows(self, facts: SplitFacts) -> Mask:
        """Test groups; there must be three groups or more, none of them too large for its part."""
        if facts.groups is None:
            hint = "say data.group=COLUMN, or choose split=holdout"
            raise InputError("split", "no groups are declared", next=hint)
        check_enough(facts, None)
        return _fitting_units(facts, self.fractions[2], self.seed, "test")

    def val_rows(self, facts: SplitFacts) -> Mask:
        """Val groups among those that are not test."""
        share, seed = _val_fraction(self.fractions), self.seed if self.val_seed is None else self.val_seed

        def of_known(known: SplitFacts) -> Mask:
            return _fitting_units(known, share, seed, "val")

        return with_new_rows(facts, seed, of_known, lambda keys: is_first_share(keys, share))

    def test_rule(self) -> dict[str, Any]:
        """The settings that fix the test part."""
        return {"split": "group", "test_fraction": self.fractions[2], "seed": self.seed}


@dataclass(frozen=True)
class Time:
    """The latest rows are test, those before them val; rows of the same time stay together."""

    # train, val and test; positive, with sum 1; ties move a border to the nearest other time
    fractions: Sequence[float] = (0.6, 0.2, 0.2)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", valid_fractions(self.fractions))

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The latest rows; there must be three different times, and no declared group on both sides."""
        times = _times(facts)
        num_times = len(np.unique(times))
        if num_times < len(PARTS):
            problem = f"the rows have {num_times} different time{'s' if num_times > 1 else ''}"
            raise InputError("split", f"{problem}, too few for train, val and test", next="choose split=holdout")
        test = _latest(times, self.fractions[2], least_before=2)
        if facts.groups is not None and len(both := np.intersect1d(facts.groups[test], facts.groups[~test])):
            problem = f"{len(both)} declared groups have rows before and after the border to the test part"
            raise InputError("split", problem, next="choose split=group, or leave out data.group")
        return test

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The latest of the rows that are not test, with all that are equal to one of them or of its group."""
        times = _times(facts)
        known = times if facts.is_new is None or facts.is_new.all() else times[~facts.is_new]
        late = times >= known[_latest(known, _val_fraction(self.fractions), least_before=1)].min()
        mask = np.asarray(late | equal_to_marked(facts.units, late))
        check_parts({"val": mask, "train": ~mask}, facts, "split.fractions")
        return mask

    def test_rule(self) -> dict[str, Any]:
        """The settings that fix the test part."""
        return {"split": "time", "test_fraction": self.fractions[2]}


@dataclass(frozen=True)
class KFold:
    """One fold of the rows that are not test is val, the others train; the test part is the same for all folds.

    Every row is val in one fold. Equal rows and rows of one declared group share a fold. A test part by a rule of
    another split is that split's: its vault is the same one.
    """

    fold: int = 0  # the val fold, from 0
    num_folds: int = 5  # how many there are
    test: TestPart = "auto"  # the split that chooses the test part
    test_fraction: float = 0.2  # share of the test rows, where that split takes shares
    seed: int = 0  # fixes the test part
    fold_seed: int | None = None  # fixes the folds; None is `seed`
    stratify: bool = True  # every class has its share in each fold, within one row or unit

    def __post_init__(self) -> None:
        require(self.num_folds >= 2, "split.num_folds", self.num_folds, "a whole number, 2 or more")
        allowed = f"0 to {self.num_folds - 1}, as split.num_folds is {self.num_folds}"
        require(0 <= self.fold < self.num_folds, "split.fold", self.fold, allowed)
        require(0 < self.test_fraction < 1, "split.test_fraction", self.test_fraction, "a number between 0 and 1")

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The test part of all rows, as the split named by `test` has it."""
        return self._test_split().test_rows(facts)

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The rows of the fold; there must be as many different rows, or groups, as folds."""
        distinct = len(units_in_order(facts.units, 0)[1])
        if distinct < self.num_folds:
            problem = f"is {self.num_folds}, and the rows that are not test hold {distinct} different ones or groups"
            allowed = f"2 to {distinct}" if distinct > 1 else ""
            advice = "equal rows stay together, and so do rows of one group"
            raise InputError("split.num_folds", problem, allowed, advice)
        seed = self.seed if self.fold_seed is None else self.fold_seed

        def of_known(known: SplitFacts) -> NDArray[np.int64]:
            return folds_of(known, self.num_folds, seed, stratify=self.stratify)

        def of_new(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
            return (keys // np.uint64(2**64 // self.num_folds + 1)).astype(np.int64)

        return np.asarray(with_new_rows(facts, seed, of_known, of_new) == self.fold)

    def test_rule(self) -> dict[str, Any]:
        """The rule of the split named by `test`."""
        return self._test_split().test_rule()

    def _test_split(self) -> Split:
        rest = (1.0 - self.test_fraction) / 2
        fractions = (rest, rest, self.test_fraction)
        splits: dict[str, Split] = {
            "auto": Auto(fractions, self.seed, stratify=self.stratify),
            "holdout": Holdout(fractions, self.seed, stratify=self.stratify),
            "stratified": Holdout(fractions, self.seed, num_bins=10),
            "predefined": Predefined(),
            "group": Group(fractions, self.seed),
            "time": Time(fractions),
        }
        return splits[self.test]


def folds_of(facts: SplitFacts, num_folds: int, seed: int, *, stratify: bool) -> NDArray[np.int64]:
    """(n,) The fold of each row.

    Units of several rows come first, the largest before the others, each to the fold that has fewest rows of its
    stratum (as scikit-learn's GroupKFold does without strata); single rows then fill the folds up to equal numbers.
    """
    unit_of, sizes = units_in_order(facts.units, seed)
    strata = facts.strata if stratify else None
    stratum_of = np.unique(strata_of_units(strata, unit_of, len(sizes)), return_inverse=True)[1]
    counts = np.zeros((int(stratum_of.max()) + 1, num_folds), np.int64)
    fold_of_unit = np.zeros(len(sizes), np.int64)
    several = np.flatnonzero(sizes > 1)
    for unit in several[np.argsort(-sizes[several], kind="stable")].tolist():
        mine = counts[stratum_of[unit]]
        fold = int(np.lexsort((counts.sum(axis=0), mine))[0])
        fold_of_unit[unit] = fold
        mine[fold] += sizes[unit]
    for stratum in range(len(counts)):
        single = np.flatnonzero((stratum_of == stratum) & (sizes == 1))
        # A place in a fold is known by how many rows the fold has before it: the lowest places are filled.
        highest = -(-(int(counts[stratum].sum()) + len(single)) // num_folds)
        fold_of_place, level = np.nonzero(np.arange(highest) >= counts[stratum, :, None])
        lowest = np.lexsort((counts.sum(axis=0)[fold_of_place], level))[: len(single)]
        fold_of_unit[single] = np.sort(fold_of_place[lowest])
        counts[stratum] += np.bincount(fold_of_place[lowest], minlength=num_folds)
    return fold_of_unit[unit_of]


def _val_fraction(fractions: Sequence[float]) -> float:
    """The share of the val rows among those that are not test."""
    train, val, _ = fractions
    return val / (train + val)


def _fitting_units(facts: SplitFacts, fraction: float, seed: int, part: str) -> Mask:
    """Units that together come close to a share of rows: each that still fits, and one more where that is nearer."""
    unit_of, sizes = units_in_order(facts.units, seed)
    target, total = round(fraction * len(facts)), 0
    is_chosen = np.zeros(len(sizes), bool)
    for unit, size in enumerate(sizes.tolist()):
        if total + size <= target:
            is_chosen[unit], total = True, total + size
    distance = np.where(is_chosen, np.inf, np.abs(total + sizes - target))
    if distance.min() < target - total:
        is_chosen[np.argmin(distance)] = True
    if not is_chosen.any() or is_chosen.all():
        groups = f"{len(sizes)} groups of {sizes.min():,} to {sizes.max():,} rows"
        problem = f"{groups} are too large for a {part} part of {target:,} rows"
        raise InputError("split.fractions", problem, next=f"give {part} a larger share, or take finer groups")
    return is_chosen[unit_of]


def _times(facts: SplitFacts) -> NDArray[Any]:
    if facts.times is None:
        hint = "say data.time=COLUMN, or choose split=holdout"
        raise InputError("split", "it is not declared when the rows were taken", next=hint)
    missing = int(np.isnan(facts.times).sum()) if facts.times.dtype.kind == "f" else 0
    if missing:
        raise InputError("split", f"{missing} rows have no time", next="leave these rows out, or choose split=holdout")
    return facts.times


def _latest(times: NDArray[Any], fraction: float, *, least_before: int) -> Mask:
    """The rows from that time on which comes nearest to the share; `least_before` times stay before it."""
    values, counts = np.unique(times, return_counts=True)
    if len(values) <= least_before:
        problem = "the rows before the test part have one time, too few for train and val"
        raise InputError("split.fractions", problem, next="give test a smaller share, or choose split=holdout")
    from_here = counts[::-1].cumsum()[::-1]  # rows of each time or a later one
    distance = np.abs(from_here - fraction * len(times))[least_before:]
    border = least_before + len(distance) - 1 - int(np.argmin(distance[::-1]))  # of two as near, the smaller part
    return np.asarray(times >= values[border])
