"""The facts that a split is given, and the masks that it answers with."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.core.tasks import task_of
from holdfast.data.rows import TEST, stratum_of

Mask = NDArray[np.bool_]
Digests = NDArray[np.uint8]
Strata = NDArray[Any] | None  # whole numbers


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
