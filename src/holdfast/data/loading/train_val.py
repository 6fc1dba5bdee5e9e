"""Train and val rows of a split, and the train statistics, remembered beside the prepared rows."""

from __future__ import annotations

import contextlib
import io
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.files import canonical_json, sha256_hex, write_atomic
from holdfast.core.tasks import task_of
from holdfast.data.rows import stratum_of
from holdfast.data.splits import Split, SplitFacts
from holdfast.data.statistics import (
    TrainStatistics,
    statistics_as_arrays,
    statistics_from_arrays,
    train_statistics,
)
from holdfast.data.store.store import UNREADABLE, Prepared
from holdfast.data.subset import subset_of

VERSION = 4  # of what is remembered


@dataclass(frozen=True, eq=False)
class Derived:
    """Train and val indices with train statistics.

    Attributes:
        train: Indices of the train rows, ascending.
        val: Indices of the val rows, ascending.
        statistics: Of the train rows.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    statistics: TrainStatistics


def derive(prepared: Prepared, split: Split, subset: float | int | None = None) -> Derived:
    """Train rows, val rows and train statistics.

    For splits of ours they are read from the store when they were taken before.

    Args:
        prepared: The development rows.
        split: Decides the val rows among them.
        subset: How many of the other rows train (`subset.subset_of`); None: all.
    """
    path = _file_of(prepared, split, subset)
    if path is not None:
        with contextlib.suppress(*UNREADABLE), path.open("rb") as file, np.load(file) as known:
            return Derived(known["train"], known["val"], statistics_from_arrays(known))
    derived = compute(prepared, split, subset)
    if path is not None:
        content = io.BytesIO()
        arrays: dict[str, Any] = statistics_as_arrays(derived.statistics)
        np.savez(content, train=derived.train, val=derived.val, **arrays)
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            write_atomic(path, content.getvalue())
    return derived


def compute(prepared: Prepared, split: Split, subset: float | int | None = None) -> Derived:
    """Like `derive`, from the rows themselves."""
    facts = facts_of(prepared)
    val = split.val_rows(facts)
    train = subset_of(np.flatnonzero(~val), prepared.digests, facts.strata, subset)
    statistics = train_statistics(
        prepared.x,
        prepared.y,
        train,
        kind=prepared.kind,
        num_classes=len(prepared.class_names),
        columns=prepared.columns,
    )
    return Derived(train, np.flatnonzero(val), statistics)


def facts_of(prepared: Prepared) -> SplitFacts:
    """The facts of the development rows that a split may know."""
    return SplitFacts(
        prepared.units,
        strata=stratum_of(prepared.y, prepared.task),
        groups=prepared.groups,
        times=prepared.times,
        parts=prepared.parts,
        targets=prepared.y if task_of(prepared.task).is_values else None,
        is_new=prepared.is_new,
    )


def _file_of(prepared: Prepared, split: Split, subset: float | int | None) -> Path | None:
    kind = type(split)
    if not kind.__module__.startswith("holdfast.") or not is_dataclass(split):
        return None
    fixed = {"version": VERSION, "split": kind.__name__, "subset": subset, **asdict(split)}
    return prepared.folder / "derived" / f"{sha256_hex(canonical_json(fixed))}.npz"
