"""Shares of the rows, each class or each range of values in its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.splits.checks import check_enough, check_parts, valid_fractions
from holdfast.data.splits.facts import Mask, SplitFacts
from holdfast.data.splits.ordering import first_rows, strata_of, val_share


@dataclass(frozen=True)
class Holdout:
    """Shares of the rows for train, val and test.

    Attributes:
        fractions: Train, val and test; positive, with sum 1.
        seed: Fixes the test part.
        val_seed: Fixes the val part among the other rows; None is `seed`.
        stratify: Every class has these shares, within one row.
        num_bins: Ranges of a regression's targets that have these shares as well; None: they are not looked at.
    """

    fractions: Sequence[float] = (0.6, 0.2, 0.2)
    seed: int = 0
    val_seed: int | None = None
    stratify: bool = True
    num_bins: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", valid_fractions(self.fractions))
        if self.num_bins is not None and self.num_bins < 2:
            raise InputError("split.num_bins", f"is {self.num_bins!r}", "a whole number, 2 or more")

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The test part of all rows; one that is declared is not looked at.

        Raises:
            InputError: A part would be empty, or a class has too few rows.
        """
        strata = strata_of(facts, stratify=self.stratify, num_bins=self.num_bins)
        check_enough(facts, strata)
        test = first_rows(facts.units, strata, self.fractions[2], self.seed)
        check_parts({"test": test, "train and val": ~test}, facts, "split.fractions")
        return test

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The val part of the rows that are not test."""
        train, val, _ = self.fractions
        seed = self.seed if self.val_seed is None else self.val_seed
        mask = val_share(facts, val / (train + val), seed, stratify=self.stratify, num_bins=self.num_bins)
        check_parts({"val": mask, "train": ~mask}, facts, "split.fractions")
        return mask

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else."""
        rule = {"split": "holdout", "test_fraction": self.fractions[2], "seed": self.seed, "stratify": self.stratify}
        return rule if self.num_bins is None else rule | {"num_bins": self.num_bins}
