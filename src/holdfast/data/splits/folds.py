"""Cross-validation over the rows that are not test; one run is one fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.splits.facts import Mask, Split, SplitFacts, check_fraction, units_in_order
from holdfast.data.splits.ordering import strata_of_units, with_new_rows
from holdfast.data.splits.rules import Auto, Group, Holdout, Predefined, Time

TestPart = Literal["auto", "holdout", "stratified", "predefined", "group", "time"]


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
        if self.num_folds < 2:
            raise InputError("split.num_folds", f"is {self.num_folds!r}", "a whole number, 2 or more")
        if not 0 <= self.fold < self.num_folds:
            allowed = f"0 to {self.num_folds - 1}, as split.num_folds is {self.num_folds}"
            raise InputError("split.fold", f"is {self.fold!r}", allowed)
        check_fraction("split.test_fraction", self.test_fraction)

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
        folds = with_new_rows(
            *(facts, seed, lambda known: folds_of(known, self.num_folds, seed, stratify=self.stratify)),
            lambda keys: (keys // np.uint64(2**64 // self.num_folds + 1)).astype(np.int64),
        )
        return np.asarray(folds == self.fold)

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else: that of the split named by `test`."""
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
