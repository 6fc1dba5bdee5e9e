"""Settings of splits that are none, and splits that the rows do not allow, each told with its reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from holdfast.core.errors import InputError
from holdfast.data.splits.facts import Mask, SplitFacts, Strata
from holdfast.data.splits.ordering import units_in_order

PARTS = ("train", "val", "test")


def check_enough(facts: SplitFacts, strata: Strata) -> None:
    """Refuse rows that cannot make three parts.

    Raises:
        InputError: Fewer than three different ones, or a class of fewer than three rows.
    """
    distinct = len(units_in_order(facts.units, 0)[1])
    if distinct < len(PARTS):
        rows = f"{len(facts)} rows hold {distinct} different one{'s' if distinct > 1 else ''}"
        if facts.groups is not None:
            rows = f"{len(facts)} rows are of {len(np.unique(facts.groups))} groups, {distinct} apart from equal rows"
        raise InputError("split", f"the {rows}, too few for train, val and test")
    if strata is None:
        return
    values, counts = np.unique(strata, return_counts=True)
    for value in values[counts < len(PARTS)]:
        count = int(counts[values == value][0])
        name, advice = ("class", "add rows, or split=holdout split.stratify=false")
        if facts.targets is not None:
            name, advice = ("range", "a smaller split.num_bins")
        problem = f"{name} {value} has {count} row{'s' if count > 1 else ''}, too few for train, val and test"
        raise InputError("split", problem, next=advice)


def check_parts(parts: dict[str, Mask], facts: SplitFacts, where: str) -> None:
    """Refuse a part without rows.

    Raises:
        InputError: With the reason: there are too few rows, or one group or repeated row fills a part.
    """
    for name, mask in parts.items():
        if mask.any():
            continue
        sizes = units_in_order(facts.units, 0)[1]
        reason = f"{len(facts)} rows, {len(sizes)} different"
        if sizes.max() > 1:
            reason += f", of which {sizes.max()} stay together: they are equal or of one group"
        raise InputError(where, f"leaves no row for {name} ({reason})")


def valid_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """Train, val and test.

    Raises:
        InputError: They are not three positive numbers with sum 1.
    """
    values = tuple(fractions)
    is_whole = abs(sum(values) - 1) <= 1e-6
    if len(values) != len(PARTS) or not is_whole or not all(value > 0 for value in values):
        problem = f"is {list(values)} with sum {sum(values):g}"
        raise InputError("split.fractions", problem, "three positive numbers with sum 1, as in [0.6,0.2,0.2]")
    return values


def val_fraction_of(fractions: Sequence[float]) -> float:
    """The share of the val rows among those that are not test."""
    train, val, _ = fractions
    return val / (train + val)


def check_fraction(where: str, value: float) -> None:
    """Refuse what is no share between 0 and 1."""
    if not 0 < value < 1:
        raise InputError(where, f"is {value!r}", allowed="a number between 0 and 1")
