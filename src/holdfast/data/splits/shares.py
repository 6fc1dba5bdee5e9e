"""Shares of the rows, the parts that came with the data, and both: what the data declares, else shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.rows import TEST, VAL
from holdfast.data.splits.checks import check_enough, check_fraction, check_parts, val_fraction_of, valid_fractions
from holdfast.data.splits.facts import Mask, SplitFacts
from holdfast.data.splits.ordering import first_rows, strata_of, val_share


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
        share, seed = val_fraction_of(self.fractions), self.seed if self.val_seed is None else self.val_seed
        mask = val_share(facts, share, seed, stratify=self.stratify, num_bins=self.num_bins)
        check_parts({"val": mask, "train": ~mask}, facts, "split.fractions")
        return mask

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else."""
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
        check_fraction("split.val_fraction", self.val_fraction)

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The rows that are declared test.

        Raises:
            InputError: Nothing is declared, or none of them or all of them.
        """
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
        """Everything that fixes the test part, and nothing else."""
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
        """The declared test part, or a share of all rows.

        Raises:
            InputError: A part would be empty, or a class has too few rows.
        """
        return Predefined().test_rows(facts) if facts.has_test_part else self._holdout().test_rows(facts)

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The declared val part, or a share of the rows that are not test."""
        seed = self.seed if self.val_seed is None else self.val_seed
        return Predefined(val_fraction_of(self.fractions), seed, self.stratify).val_rows(facts)

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else."""
        return self._holdout().test_rule() | {"split": "auto"}

    def _holdout(self) -> Holdout:
        return Holdout(self.fractions, self.seed, self.val_seed, self.stratify)
