"""Settings of splits that are none, and splits that the rows do not allow, each told with its reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from holdfast.core.errors import InputError
from holdfast.data.splits.facts import Mask, SplitFacts, Strata
from holdfast.data.splits.ordering import largest_unit, num_units

PARTS = ("train", "val", "test")


def check_enough(facts: SplitFacts, strata: Strata) -> None:
    """Refuse rows that cannot make three parts.

    Raises:
        InputError: Fewer than three different ones, or a class of fewer than three rows.
    """
    distinct = num_units(facts.units)
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
        what = f"{name} {value} has {count} row{'s' if count > 1 else ''}, too few for train, val and test"
        raise InputError("split", what, next=advice)


def check_parts(parts: dict[str, Mask], facts: SplitFacts, where: str) -> None:
    """Refuse a part without rows.

    Raises:
        InputError: With the reason: there are too few rows, or one group or repeated row fills a part.
    """
    for name, mask in parts.items():
        if mask.any():
            continue
        distinct, largest = num_units(facts.units), largest_unit(facts.units)
        reason = f"{len(facts)} rows, {distinct} different"
        if largest > 1:
            reason += f", of which {largest} stay together: they are equal or of one group"
        raise InputError(where, f"leaves no row for {name} ({reason})")


def valid_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """Train, val and test.

    Raises:
        InputError: They are not three positive numbers with sum 1.
    """
    allowed = "three positive numbers with sum 1, as in [0.6,0.2,0.2]"
    try:
        values = list(fractions)
    except TypeError:
        values = []
    shown = f"is {values if values else fractions!r}"
    if len(values) != len(PARTS) or not all(is_number(value) and value > 0 for value in values):
        raise InputError("split.fractions", shown, allowed=allowed)
    if abs(sum(values) - 1) > 1e-6:
        raise InputError("split.fractions", f"{shown} with sum {sum(values):g}", allowed=allowed)
    return tuple(float(value) for value in values)


def check_fraction(where: str, value: object) -> None:
    """Refuse what is no share between 0 and 1."""
    if not is_number(value) or not 0 < value < 1:  # type: ignore[operator]
        raise InputError(where, f"is {value!r}", allowed="a number between 0 and 1")


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def is_count(value: object, least: int) -> bool:
    """Whether it is a whole number, `least` or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_seed(where: str, seed: object) -> None:
    """Refuse what is no whole number."""
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise InputError(where, f"is {seed!r}", allowed="a whole number")
