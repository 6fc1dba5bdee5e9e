"""Shares of the rows, each class or each range of values in its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast.core.errors import InputError
from holdfast.data.splits.checks import check_enough, check_parts, check_seed, is_count, valid_fractions
from holdfast.data.splits.facts import Mask, SplitFacts, Strata
from holdfast.data.splits.ordering import first_rows, is_first_share, val_share, with_new_rows
from holdfast.vault.rows.digest_sets import order_keys


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
        object.__setattr__(self, "fractions", valid_fractions(self.fractions))
        check_seed("split.seed", self.seed)
        check_seed("split.val_seed", self.seed if self.val_seed is None else self.val_seed)

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The test part of all rows; one that is declared or official is not looked at.

        Raises:
            InputError: A part would be empty, or a class has too few rows.
        """
        strata = facts.strata if self.stratify else None
        check_enough(facts, strata)
        test = first_rows(facts.units, strata, self.fractions[2], self.seed)
        check_parts({"test": test, "train and val": ~test}, facts, "split.fractions")
        return test

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The val part of the rows that are not test."""
        train, val, _ = self.fractions
        seed = self.seed if self.val_seed is None else self.val_seed
        mask = val_share(facts, val / (train + val), seed, stratify=self.stratify)
        check_parts({"val": mask, "train": ~mask}, facts, "split.fractions")
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
class Stratified:
    """Like `Holdout`, for tasks that have classes, and for regressions: their values in ranges of as many rows each.

    Attributes:
        fractions: Train, val and test; positive, with sum 1.
        seed: Fixes the test part.
        val_seed: Fixes the val part among the other rows; None is `seed`.
        num_bins: Ranges of a regression's targets.
    """

    fractions: Sequence[float] = (0.6, 0.2, 0.2)
    seed: int = 0
    val_seed: int | None = None
    num_bins: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", valid_fractions(self.fractions))
        check_seed("split.seed", self.seed)
        check_seed("split.val_seed", self.seed if self.val_seed is None else self.val_seed)
        if not is_count(self.num_bins, 2):
            raise InputError("split.num_bins", f"is {self.num_bins!r}", "a whole number, 2 or more")

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The test part of all rows.

        Raises:
            InputError: There are neither classes nor values, a class has too few rows, or a part would be empty.
        """
        strata = self._strata(facts)
        check_enough(facts, strata)
        test = first_rows(facts.units, strata, self.fractions[2], self.seed)
        check_parts({"test": test, "train and val": ~test}, facts, "split.fractions")
        return test

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The val part of the rows that are not test."""
        train, val, _ = self.fractions
        seed = self.seed if self.val_seed is None else self.val_seed
        share = val / (train + val)
        mask = with_new_rows(
            *(facts, seed, lambda known: first_rows(known.units, self._strata(known), share, seed)),
            lambda keys: is_first_share(keys, share),
        )
        check_parts({"val": mask, "train": ~mask}, facts, "split.fractions")
        return mask

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else."""
        fixed = {"test_fraction": self.fractions[2], "seed": self.seed, "num_bins": self.num_bins}
        return {"split": "stratified", **fixed}

    def test_cuts(self, facts: SplitFacts, test: Mask) -> list[dict[str, Any]]:
        """Those of `Holdout` where there are classes; ranges of values would tell of the test targets."""
        is_class = facts.strata is not None
        return Holdout(self.fractions, self.seed).test_cuts(facts, test) if is_class else []

    def _strata(self, facts: SplitFacts) -> Strata:
        if facts.strata is not None:
            return facts.strata
        if facts.targets is None:
            what = "this task has labels, of which a row may have several: no class to stratify by"
            raise InputError("split", what, next="choose split=holdout")
        num_bins = max(1, min(self.num_bins, len(facts) // 3))
        edges = np.quantile(facts.targets, np.arange(1, num_bins) / num_bins)
        return np.searchsorted(edges, facts.targets, side="right").astype(np.int64)
