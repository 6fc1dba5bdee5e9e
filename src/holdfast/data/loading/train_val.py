"""Train and val rows of a split, and the train statistics, remembered beside the prepared rows."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.config.resolve import call_target
from holdfast.core.errors import InputError
from holdfast.core.files import canonical_json, sha256_hex, write_atomic
from holdfast.core.tasks import PerTarget, task_of
from holdfast.data.splits import Split, facts_of
from holdfast.data.splits.facts import subset_of
from holdfast.data.statistics import TrainStatistics, statistics_as_arrays, statistics_from_arrays, train_statistics
from holdfast.data.store.store import UNREADABLE, Prepared, open_prepared, val_sha256

VERSION = 5  # of what is remembered


@dataclass(frozen=True, eq=False)
class RunRows:
    """The rows that a run is trained on and chosen by, as the store has them."""

    prepared: Prepared  # the development rows, through the run's view
    train: NDArray[np.int64]  # indices of the train rows, ascending
    val: NDArray[np.int64]  # indices of the val rows, ascending
    statistics: TrainStatistics

    @property
    def target_std(self) -> PerTarget:
        """Spread of the train targets where they are values; else 1."""
        return self.statistics.target_std or 1.0

    @property
    def targets(self) -> NDArray[Any]:
        """Targets of the val rows."""
        return np.asarray(self.prepared.y[self.val])


def derive(prepared: Prepared, split: Split, subset: float | int | None = None) -> RunRows:
    """Train rows, val rows and train statistics, of a subset (`splits.facts.subset_of`) of the train rows.

    For splits of ours they are read from the store when they were taken before.
    """
    path = _file_of(prepared, split, subset)
    if path is not None:
        with contextlib.suppress(*UNREADABLE), path.open("rb") as file, np.load(file) as known:
            return RunRows(prepared, known["train"], known["val"], statistics_from_arrays(known))
    derived = compute(prepared, split, subset)
    if path is not None:
        content = io.BytesIO()
        arrays: dict[str, Any] = statistics_as_arrays(derived.statistics)
        np.savez(content, train=derived.train, val=derived.val, **arrays)
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            write_atomic(path, content.getvalue())
    return derived


def compute(prepared: Prepared, split: Split, subset: float | int | None = None) -> RunRows:
    """Take what `derive` gives from the rows themselves."""
    facts = facts_of(prepared, prepared.units, prepared.is_new)
    val = split.val_rows(facts)
    train = subset_of(np.flatnonzero(~val), prepared.digests, facts.strata, subset)
    num_classes = 0 if task_of(prepared.task).is_values else len(prepared.class_names)
    statistics = train_statistics(
        prepared.x, prepared.y, train, kind=prepared.kind, num_classes=num_classes, columns=prepared.columns
    )
    return RunRows(prepared, train, np.flatnonzero(val), statistics)


def rows_of_run(split: Mapping[str, Any], data: Mapping[str, Any], *, anew: bool = False) -> RunRows:
    """The rows of a run, by `split` of its config and `data` of its record; `anew`: not from what is remembered.

    An InputError where the store no longer has them, or other val rows.
    """
    prepared = open_prepared(data["rows"])
    rows = (compute if anew else derive)(prepared, call_target(split, "split"), data.get("subset"))
    if val_sha256(prepared, rows.val) != data["val_sha256"]:
        problem = "the val rows in the store are not those of the run"
        raise InputError("val rows", problem, next="train the run again")
    return rows


def _file_of(prepared: Prepared, split: Split, subset: float | int | None) -> Path | None:
    kind = type(split)
    if not kind.__module__.startswith("holdfast.") or not is_dataclass(split):
        return None
    fixed = {"version": VERSION, "split": kind.__name__, "subset": subset, **asdict(split)}
    return prepared.folder / "derived" / f"{sha256_hex(canonical_json(fixed))}.npz"
