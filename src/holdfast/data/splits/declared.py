"""Parts that came with the data: a published test part, or a column, files or folders that say train, val and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.rows import TEST, VAL
from holdfast.data.splits.checks import check_fraction, check_parts
from holdfast.data.splits.facts import Mask, SplitFacts
from holdfast.data.splits.ordering import val_share


@dataclass(frozen=True)
class Predefined:
    """The parts that the data declares; where it declares no val rows, they are a share of its train rows.

    Attributes:
        val_fraction: That share, between 0 and 1.
        seed: Fixes it.
        stratify: Every class has this share, within one row.
    """

    val_fraction: float = 0.2
    seed: int = 0
    stratify: bool = True

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
