"""The past for training, the future for testing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.splits.checks import PARTS, check_parts, val_fraction_of, valid_fractions
from holdfast.data.splits.facts import Mask, SplitFacts
from holdfast.vault.rows.digest_sets import equal_to_marked


@dataclass(frozen=True)
class Time:
    """The latest rows are test, those before them val; rows of the same time stay together."""

    # train, val and test; positive, with sum 1; ties move a border to the nearest other time
    fractions: Sequence[float] = (0.6, 0.2, 0.2)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", valid_fractions(self.fractions))

    def test_rows(self, facts: SplitFacts) -> Mask:
        """The latest rows.

        Raises:
            InputError: No times are declared, there are fewer than three, or a declared group lies on both sides.
        """
        times = _times(facts)
        num_times = len(np.unique(times))
        if num_times < len(PARTS):
            problem = f"the rows have {num_times} different time{'s' if num_times > 1 else ''}"
            raise InputError("split", f"{problem}, too few for train, val and test", next="choose split=holdout")
        test = _latest(times, self.fractions[2], least_before=2)
        if facts.groups is not None:
            both = np.intersect1d(facts.groups[test], facts.groups[~test])
            if len(both):
                problem = f"{len(both)} declared groups have rows before and after the border to the test part"
                raise InputError("split", problem, next="choose split=group, or leave out data.group")
        return test

    def val_rows(self, facts: SplitFacts) -> Mask:
        """The latest of the rows that are not test, with all that are equal to one of them or of its group."""
        times = _times(facts)
        known = times if facts.is_new is None or facts.is_new.all() else times[~facts.is_new]
        late = times >= known[_latest(known, val_fraction_of(self.fractions), least_before=1)].min()
        mask = np.asarray(late | equal_to_marked(facts.units, late))
        check_parts({"val": mask, "train": ~mask}, facts, "split.fractions")
        return mask

    def test_rule(self) -> dict[str, Any]:
        """Everything that fixes the test part, and nothing else."""
        return {"split": "time", "test_fraction": self.fractions[2]}


def _times(facts: SplitFacts) -> NDArray[Any]:
    if facts.times is None:
        hint = "say data.time=COLUMN, or choose split=holdout"
        raise InputError("split", "it is not declared when the rows were taken", next=hint)
    missing = int(np.isnan(facts.times).sum()) if facts.times.dtype.kind == "f" else 0
    if missing:
        raise InputError("split", f"{missing} rows have no time", next="leave these rows out, or choose split=holdout")
    return facts.times


def _latest(times: NDArray[Any], fraction: float, *, least_before: int) -> Mask:
    """The rows from that time on which comes nearest to the share; `least_before` times stay before it."""
    values, counts = np.unique(times, return_counts=True)
    if len(values) <= least_before:
        problem = "the rows before the test part have one time, too few for train and val"
        raise InputError("split.fractions", problem, next="give test a smaller share, or choose split=holdout")
    from_here = counts[::-1].cumsum()[::-1]  # rows of each time or a later one
    distance = np.abs(from_here - fraction * len(times))[least_before:]
    border = least_before + len(distance) - 1 - int(np.argmin(distance[::-1]))  # of two as near, the smaller part
    return np.asarray(times >= values[border])
