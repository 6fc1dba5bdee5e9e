"""What a split makes of prepared rows: the val mask and the train statistics, remembered beside the rows."""

from __future__ import annotations

import contextlib
import io
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.files import canonical_json, sha256_hex, write_atomic
from holdfast.data.rows import stratum_of
from holdfast.data.splits import Split, SplitFacts
from holdfast.data.statistics import TrainStatistics, statistics_as_arrays, statistics_from_arrays, train_statistics
from holdfast.data.store import UNREADABLE, Prepared


def derive(prepared: Prepared, split: Split) -> tuple[NDArray[np.bool_], TrainStatistics]:
    """The val mask over the development rows, and the statistics of the others.

    For splits of ours both are read from the store when they were taken before.
    """
    path = _file_of(prepared, split)
    if path is not None:
        with contextlib.suppress(*UNREADABLE), path.open("rb") as file, np.load(file) as known:
            return known["val"], statistics_from_arrays(known)
    val, statistics = compute(prepared, split)
    if path is not None:
        content = io.BytesIO()
        arrays: dict[str, Any] = {"val": val, **statistics_as_arrays(statistics)}
        np.savez(content, **arrays)
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            write_atomic(path, content.getvalue())
    return val, statistics


def compute(prepared: Prepared, split: Split) -> tuple[NDArray[np.bool_], TrainStatistics]:
    """Like `derive`, from the rows themselves."""
    val = split.val_rows(facts_of(prepared))
    num_classes = len(prepared.class_names)
    train = np.flatnonzero(~val)
    return val, train_statistics(prepared.x, prepared.y, train, kind=prepared.kind, num_classes=num_classes)


def facts_of(prepared: Prepared) -> SplitFacts:
    """What a split may know of the development rows; which of them were official or declared test rows is over."""
    return SplitFacts(
        prepared.units,
        strata=stratum_of(prepared.y, prepared.task),
        times=getattr(prepared, "times", None),
        parts=getattr(prepared, "parts", None),
        targets=prepared.y if prepared.task == "regression" else None,
    )


def _file_of(prepared: Prepared, split: Split) -> Path | None:
    kind = type(split)
    if not kind.__module__.startswith("holdfast.") or not is_dataclass(split):
        return None
    name = sha256_hex(canonical_json({"split": kind.__name__, **asdict(split)}))
    return prepared.folder / "derived" / f"{name}.npz"
