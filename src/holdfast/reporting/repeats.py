"""Runs of a sweep that differ in nothing but the fold or the seed: their mean and spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.core.sweep_folder import sweep_of

REPEATED = ("split.fold", "seed")


@dataclass(frozen=True)
class Repeats:
    """Means over runs of one sweep that differ in nothing but fold or seed."""

    folder: str  # of the sweep, relative to the path that was asked for
    data: str  # the data set and the vault of its test rows
    over: list[str]  # what they differ in: "split.fold", "seed" or both
    overrides: list[str]  # those that are not shared by all runs of the table
    n: int  # completed runs with a score
    monitor: str  # the metric by which each run's epoch was chosen
    mode: str  # whether less or more of it is better
    mean: dict[str, float]  # of each metric of their best epochs
    std: dict[str, float]  # sample standard deviation (over n - 1) of each


def find_repeats(path: Path, records: Iterable[tuple[Path, Mapping[str, Any]]]) -> list[Repeats]:
    """The repeats among runs, each of two runs or more; folders are told relative to `path`."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    records = list(records)
    shared = set.intersection(*(set(record.get("overrides") or []) for _, record in records)) if records else set()
    for folder, record in records:
        sweep = sweep_of(folder)
        if record["status"] == "completed" and record.get("best") and sweep is not None:
            key = (sweep, data_name(record), record["best"]["monitor"], *others(record["overrides"], REPEATED))
            groups.setdefault(key, []).append(record)
    several = {key: members for key, members in groups.items() if len(members) > 1}
    summaries = [_summary(path.resolve(), key[0], members, shared) for key, members in several.items()]
    return sorted((repeats for repeats in summaries if repeats.over), key=_rank)


def data_name(record: Mapping[str, Any]) -> str:
    """The data set of a run and the vault of its test rows, as in "csv, vault 79101529"; empty where it got to none."""
    data = record.get("data") or {}
    return ", vault ".join(filter(None, [data.get("name") or "", (data.get("vault") or "")[:8]]))


def others(overrides: Sequence[str], names: Sequence[str]) -> list[str]:
    """The overrides of other keys than `names`, in an order of their own."""
    return sorted(word for word in overrides if word.lstrip("+").partition("=")[0] not in names)


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; 0 for one value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _rank(repeats: Repeats) -> tuple[str, float]:
    value = repeats.mean.get(repeats.monitor, 0.0)
    return repeats.monitor, -value if repeats.mode == "max" else value


def _summary(path: Path, sweep: Path, members: Sequence[Mapping[str, Any]], shared: set[str]) -> Repeats:
    best = members[0]["best"]
    scores = [member["best"]["metrics"] for member in members]
    names = [name for name in scores[0] if all(score.get(name) is not None for score in scores)]
    numbers = {name: mean_and_std([score[name] for score in scores]) for name in names}
    values = {name: {_value_of(member["overrides"], name) for member in members} for name in REPEATED}
    return Repeats(
        folder=str(sweep.relative_to(path)) if sweep.is_relative_to(path) else sweep.name,
        data=data_name(members[0]),
        over=[name for name in REPEATED if len(values[name]) > 1],
        overrides=[word for word in others(members[0]["overrides"], REPEATED) if word not in shared],
        n=len(members),
        monitor=best["monitor"],
        mode=best["mode"],
        mean={name: mean for name, (mean, _) in numbers.items()},
        std={name: std for name, (_, std) in numbers.items()},
    )


def _value_of(overrides: Sequence[str], name: str) -> str:
    return next((word.partition("=")[2] for word in overrides if word.partition("=")[0] == name), "")
