"""The default split: what the data declares is kept to; where it declares no test part, shares of all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.data.splits.declared import Predefined
from holdfast.data.splits.facts import Mask, Split, SplitFacts
from holdfast.data.splits.shares import Holdout


@dataclass(frozen=True)
class Auto:
    """`Predefined` where the data declares test rows (a column, files, folders), else `Holdout`.

    Attributes:
        fractions: Train, val and test, where they are not declared; positive, with sum 1.
        seed: Fixes the test part.
        val_seed: Fixes the val part among the other rows; None is `seed`.
        stratify: Every class has these shares, within one row.
    """

    fractions: Sequence[float] = (0.6, 0.2, 0.2)
    seed: int = 0
    val_seed: int | None = None
    stratify: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", self._holdout().fractions)

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The declared test part, or a share of all rows.

        Raises:
            InputError: A part would be empty, or a class has too few rows.
        """
        split: Split = self._declared() if facts.has_test_part else self._holdout()
        return split.test_rows(facts)

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The declared val part, or a share of the rows that are not test."""
        return self._declared().val_rows(facts)

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else."""
        return self._holdout().test_rule() | {"split": "auto"}

    def _declared(self) -> Predefined:
        train, val, _ = self.fractions
        seed = self.seed if self.val_seed is None else self.val_seed
        return Predefined(val / (train + val), seed, self.stratify)

    def _holdout(self) -> Holdout:
        return Holdout(self.fractions, self.seed, self.val_seed, self.stratify)
