"""The learning curve of a sweep over `data.subset`: scores against the number of train rows, as a table and a page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError
from holdfast.core.files import write_atomic
from holdfast.core.run_record import now
from holdfast.reporting import charts
from holdfast.reporting.leaderboard import find_runs
from holdfast.reporting.pages import render
from holdfast.reporting.repeats import REPEATED, mean_and_std, others

TABLE, PAGE = "learning_curve.csv", "learning_curve.html"
SUBSET = "data.subset"


@dataclass(frozen=True)
class Point:
    """Runs with one number of train rows that differ in nothing but seed or fold."""

    series: str  # their other overrides; empty where all runs of the sweep share them
    subset: str  # as it was typed
    train_rows: float  # the mean of the runs: folds may differ by a row
    metric: str  # the name of the monitored metric, without its part
    n: int  # runs
    # mean and standard deviation of the metric over train rows, in the best epochs; None where it is not kept
    train: tuple[float, float] | None
    val: tuple[float, float]  # likewise over val rows


def leave_learning_curve(sweep: Path) -> list[Path]:
    """Write table and page into a sweep's folder, where its runs differ in their number of train rows; the files."""
    try:
        records = [record for _, record in find_runs(sweep)]
    except InputError:
        return []
    points = curve([record for record in records if record["status"] == "completed" and record.get("best")])
    if len({point.subset for point in points}) < 2:
        return []
    write_atomic(sweep / TABLE, _as_csv(points))
    write_atomic(sweep / PAGE, _page(points))
    return [sweep / TABLE, sweep / PAGE]


def curve(records: Sequence[Mapping[str, Any]]) -> list[Point]:
    """The points, by series and number of train rows."""
    overrides = [set(others(record["overrides"], (SUBSET, *REPEATED))) for record in records]
    shared = set.intersection(*overrides) if overrides else set()
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for record, words in zip(records, overrides, strict=True):
        subset = record["data"].get("subset")
        key = (" ".join(sorted(words - shared)), "all" if subset is None else str(subset), record["best"]["monitor"])
        groups.setdefault(key, []).append(record)
    points = [_point(series, subset, monitor, members) for (series, subset, monitor), members in groups.items()]
    return sorted(points, key=lambda point: (point.series, point.metric, point.train_rows))


def _point(series: str, subset: str, monitor: str, members: Sequence[Mapping[str, Any]]) -> Point:
    metric = monitor.removeprefix("val/")
    train = [value for record in members if (value := _train_score(record, metric)) is not None]
    return Point(
        series=series,
        subset=subset,
        train_rows=mean_and_std([record["data"]["train_rows"] for record in members])[0],
        metric=metric,
        n=len(members),
        train=mean_and_std(train) if len(train) == len(members) else None,
        val=mean_and_std([record["best"]["value"] for record in members]),
    )


def _train_score(record: Mapping[str, Any], metric: str) -> float | None:
    scores = {entry["epoch"]: entry.get(f"train/{metric}") for entry in record["history"]}
    return scores.get(record["best"]["epoch"])


def _as_csv(points: Sequence[Point]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["series", "subset", "train_rows", "metric", "n", "train_mean", "train_std", "val_mean", "val_std"])
    for point in points:
        train = point.train or ("", "")
        table.writerow([point.series, point.subset, f"{point.train_rows:g}", point.metric, point.n, *train, *point.val])
    return text.getvalue()


def _page(points: Sequence[Point]) -> str:
    """A chart for each series, over the logarithm of the number of train rows, and the table."""
    drawn = []
    for series, metric in dict.fromkeys((point.series, point.metric) for point in points):
        chosen = [point for point in points if (point.series, point.metric) == (series, metric)]
        curves = []
        for part in ("val", "train"):
            scores = [(point.train_rows, getattr(point, part)) for point in chosen]
            curves.append((f"{part}/{metric}", [(math.log10(rows), score[0]) for rows, score in scores if score]))
        x_ticks = [(math.log10(point.train_rows), f"{point.train_rows:,.0f}") for point in chosen]
        title = f"{metric} {series}".strip()
        drawn.append((title, charts.lines(curves, label=f"{title} by train rows", x_ticks=x_ticks)))
    return render("learning_curve.html", {"curves": drawn, "points": points, "written": now()})
