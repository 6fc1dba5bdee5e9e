"""The facts that a split is given, the masks that it answers with, and what neither settings nor rows may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.tasks import task_of
from holdfast.data.rows import TEST, stratum_of
from holdfast.vault.rows.digest_sets import order_keys

Mask = NDArray[np.bool_]
Digests = NDArray[np.uint8]
Strata = NDArray[Any] | None  # whole numbers
PARTS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class SplitFacts:
    """The facts of each row that a split may know."""

    units: Digests  # (n, bytes) one digest for all rows that stay on one side: equal rows, and rows of one group
    strata: Strata = None  # (n,) the class of each row; None for tasks without classes
    # (n,) number of the declared group of each row; None where no groups were declared, or no longer
    groups: NDArray[np.int64] | None = None
    times: NDArray[Any] | None = None  # (n,) when each row was taken, as a number; None where that is not known
    # (n,) int8, what the source declares: 0 train, 1 val, 2 test; None where nothing is declared
    parts: NDArray[np.int8] | None = None
    # (n,) or (n, targets) the values of a regression; None for other tasks
    targets: NDArray[np.float32] | None = None
    # (n,) rows that were appended since test rows were chosen: they move no other row; None: there are none
    is_new: Mask | None = None

    def __len__(self) -> int:
        return len(self.units)

    @property
    def has_test_part(self) -> bool:
        """True if some rows are declared test rows."""
        return self.parts is not None and bool((self.parts == TEST).any())

    def of(self, rows: Mask | NDArray[np.int64]) -> SplitFacts:
        """The facts of some of the rows."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value[rows] for name, value in known.items() if value is not None})


def facts_of(rows: Any, units: Digests, is_new: Mask | None = None) -> SplitFacts:
    """The facts of rows that a split may know, from `Rows` or from `store.Prepared` rows."""
    return SplitFacts(
        units,
        strata=stratum_of(rows.y, rows.task),
        groups=rows.groups,
        times=rows.times,
        parts=rows.parts,
        targets=rows.y if task_of(rows.task).is_values else None,
        is_new=is_new,
    )


class Split(Protocol):
    """A split, as an option of the group `split` names it."""

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The test part of all rows."""

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The val part of the rows that are not test, whose facts these are."""

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else, as JSON."""


def units_in_order(units: Digests, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) The number of each row's unit, counted in the order of their keys, and the rows of each unit."""
    _, unit_of, sizes = np.unique(order_keys(units, seed), return_inverse=True, return_counts=True)
    return unit_of, sizes


def check_enough(facts: SplitFacts, strata: Strata) -> None:
    """Refuse fewer than three different rows, and a class or range of fewer than three rows."""
    distinct = len(units_in_order(facts.units, 0)[1])
    if distinct < len(PARTS):
        rows = f"{len(facts)} rows hold {distinct} different one{'s' if distinct > 1 else ''}"
        if facts.groups is not None:
            rows = f"{len(facts)} rows are of {len(np.unique(facts.groups))} groups, {distinct} apart from equal rows"
        raise InputError("split", f"the {rows}, too few for train, val and test")
    if strata is None:
        return
    values, counts = np.unique(strata, return_counts=True)
    if (counts < len(PARTS)).any():
        value, count = values[counts < len(PARTS)][0], counts[counts < len(PARTS)][0]
        name, advice = ("class", "add rows, or split=holdout split.stratify=false")
        if facts.targets is not None:
            name, advice = ("range", "a smaller split.num_bins")
        problem = f"{name} {value} has {count} row{'s' if count > 1 else ''}, too few for train, val and test"
        raise InputError("split", problem, next=advice)


def check_parts(parts: dict[str, Mask], facts: SplitFacts, where: str) -> None:
    """Refuse a part without rows: there are too few, or one group or repeated row fills another part."""
    empty = [name for name, mask in parts.items() if not mask.any()]
    if empty:
        sizes = units_in_order(facts.units, 0)[1]
        reason = f"{len(facts)} rows, {len(sizes)} different"
        if sizes.max() > 1:
            reason += f", of which {sizes.max()} stay together: they are equal or of one group"
        raise InputError(where, f"leaves no row for {empty[0]} ({reason})")


def valid_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """The shares of train, val and test; anything but three positive numbers with sum 1 is refused."""
    values = tuple(fractions)
    is_whole = abs(sum(values) - 1) <= 1e-6
    if len(values) != len(PARTS) or not is_whole or not all(value > 0 for value in values):
        problem = f"is {list(values)} with sum {sum(values):g}"
        raise InputError("split.fractions", problem, "three positive numbers with sum 1, as in [0.6,0.2,0.2]")
    return values


def check_fraction(where: str, value: float) -> None:
    """Refuse what is no share between 0 and 1."""
    if not 0 < value < 1:
        raise InputError(where, f"is {value!r}", allowed="a number between 0 and 1")
