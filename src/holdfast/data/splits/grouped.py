"""Whole groups: patients, scenes or customers that training has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast.core.errors import InputError
from holdfast.data.splits.checks import check_enough, val_fraction_of, valid_fractions
from holdfast.data.splits.facts import Mask, SplitFacts
from holdfast.data.splits.ordering import is_first_share, units_in_order, with_new_rows


@dataclass(frozen=True)
class Group:
    """Groups of rows for train, val and test, by their order keys, as many as come nearest to these shares of rows."""

    fractions: Sequence[float] = (0.6, 0.2, 0.2)  # train, val and test; positive, with sum 1
    seed: int = 0  # fixes the test part
    val_seed: int | None = None  # fixes the val part among the other rows; None is `seed`

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", valid_fractions(self.fractions))

    def test_rows(self, facts: SplitFacts) -> Mask:
        """Test groups.

        Raises:
            InputError: No groups are declared, there are fewer than three, or they are too large for their part.
        """
        if facts.groups is None:
            hint = "say data.group=COLUMN, or choose split=holdout"
            raise InputError("split", "no groups are declared", next=hint)
        check_enough(facts, None)
        return _fitting_units(facts, self.fractions[2], self.seed, "test")

    def val_rows(self, facts: SplitFacts) -> Mask:
        """Val groups among those that are not test."""
        share, seed = val_fraction_of(self.fractions), self.seed if self.val_seed is None else self.val_seed
        return with_new_rows(
            *(facts, seed, lambda known: _fitting_units(known, share, seed, "val")),
            lambda keys: is_first_share(keys, share),
        )

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else."""
        return {"split": "group", "test_fraction": self.fractions[2], "seed": self.seed}


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
