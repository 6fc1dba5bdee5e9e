"""The page of one run, from its record: score, curves, val rows, data, config. Nothing on it comes from a test row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.core.figures import moment, spoken
from holdfast.core.files import write_atomic
from holdfast.core.run_record import BATCH_FILE_NAME, now
from holdfast.core.yaml_text import as_yaml
from holdfast.reporting import charts
from holdfast.reporting.data_page import Strips, data_sections
from holdfast.reporting.pages import render

FILE_NAME = "report.html"
MAX_CLASSES = 40
MAX_MEMBERS = 16  # of a matrix on the page
Record = Mapping[str, Any]


def write_run_page(folder: Path, record: Record, **facts: Any) -> Path:
    """Write `report.html` into a run's folder, with facts as of `run_page`."""
    path, batch = folder / FILE_NAME, folder / BATCH_FILE_NAME
    shown = json.loads(batch.read_text()) if batch.is_file() else None
    write_atomic(path, run_page(record, batch=shown, **facts), is_durable=False)
    return path


def run_page(
    record: Record,
    *,
    data: Mapping[str, Any] | None = None,
    strips: Strips = (),
    val: Mapping[str, Any] | None = None,
    batch: Mapping[str, Any] | None = None,
) -> str:
    """The whole page.

    Args:
        record: The run's `run.json`.
        data: What `data_facts.dataset_facts` tells; None leaves the sections of the data out.
        strips: Examples of train images.
        val: Of val rows: {"rows", "confusion"} for classes, or {"rows", "points"} for values; None leaves it out.
        batch: What `first_batch.batch_facts` tells.
    """
    shown = data_sections(data, strips) if data is not None else {"facts": None}
    return render(
        "run_page.html",
        {
            **shown,
            "record": record,
            "curves": _curves(record),
            "rate_range": _rate_range(record),
            "val": val,
            "class_rows": _class_rows(record, val["confusion"]) if val and "confusion" in val else [],
            "max_classes": MAX_CLASSES,
            **(_ensemble(record) if record.get("ensemble") else {}),
            "batch": batch,
            "chosen": [choice for choice in sorted(record["choices"].items()) if choice[1] not in (None, "none")],
            "config": as_yaml(record["config"]),
            "environment": _environment(record, has_data=data is not None),
            "written": now(),
        },
    )


def _curves(record: Record) -> list[tuple[str, str]]:
    """The charts of a run by their titles, as SVG."""
    history = record["history"]
    mark = (record["best"] or {}).get("epoch")
    names = list(dict.fromkeys(key.partition("/")[2] for entry in history for key in entry if "/" in key))
    drawn = []
    for name in names:
        pair = [(f"{part}/{name}", _points(history, f"{part}/{name}")) for part in ("train", "val")]
        series = [(label, points) for label, points in pair if points]
        drawn.append((name, charts.lines(series, label=f"{name} by epoch", mark=mark)))
        if name == "loss":
            words = "loss by epoch, logarithmic"
            log = charts.lines(series, label=words, mark=mark, is_log=True)
            drawn.append(("loss, logarithmic", log))
    if rate := _points(history, "lr"):
        values = [value for _, value in rate]
        is_wide = min(values) > 0 and max(values) > 20 * min(values)
        series = [("lr at the end of the epoch", rate)]
        chart = charts.lines(series, label="learning rate by epoch", is_log=is_wide)
        drawn.append(("learning rate", chart))
    return drawn


def _rate_range(record: Record) -> str:
    """The chart of the check `lr_range`; empty where it was not made."""
    evidence: Record = next((check["evidence"] for check in record["checks"] if check["name"] == "lr_range"), {})
    rules = ("steepest", "valley", "tenth_of_minimum")
    marks = {spoken(name): evidence[name] for name in rules if name in evidence}
    return charts.rate_range(evidence.get("curve", ()), marks, label="loss by learning rate")


def _ensemble(record: Record) -> dict[str, Any]:
    """The charts of an ensemble: score by number of members, and calibration before and after the temperature."""
    ensemble, monitor = record["ensemble"], record["monitor"]
    points = [
        (float(count), metrics[monitor])
        for count, metrics in enumerate(ensemble["curve"], start=1)
        if metrics.get(monitor) is not None
    ]
    curve = charts.lines([(monitor, points)], label=f"{monitor} by number of members")
    has_temperature = ensemble["temperature"] != 1.0
    names = {"before": "before the temperature", "after": "after it"} if has_temperature else {"before": "of the mean"}
    facts = ensemble["calibration"] or {}
    return {
        "member_curve": curve if len(points) > 1 else "",
        "calibration": [(words, facts[name]) for name, words in names.items() if facts],
        "matrices": _matrices(ensemble),
    }


def _matrices(ensemble: Mapping[str, Any]) -> list[tuple[str, list[list[str]]]]:
    """Titles and cells of how the members differ; nothing where they are many, or share no rows."""
    if not 0 < len(ensemble["disagreement"] or ()) <= MAX_MEMBERS:
        return []
    is_of_values = ensemble["calibration"] is None
    differing = "Distance of their values, root mean square" if is_of_values else "Share of decisions that differ"
    named = {differing: ensemble["disagreement"], "Correlation of their errors": ensemble["error_correlation"]}
    return [
        (title, [["" if number is None else f"{number:.3g}" for number in numbers] for numbers in matrix])
        for title, matrix in named.items()
    ]


def _points(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    return [(entry["epoch"], entry[key]) for entry in history if isinstance(entry.get(key), int | float)]


def _class_rows(record: Record, confusion: Sequence[Sequence[int]]) -> list[list[str]]:
    """Name, rows, recall and most frequent confusion of every class."""
    names = record["data"]["class_names"]
    return [
        [name, f"{sum(counts):,}", f"{100 * counts[index] / max(1, sum(counts)):.1f}", _confused(counts, index, names)]
        for index, (name, counts) in enumerate(zip(names, confusion, strict=True))
    ]


def _confused(counts: Sequence[int], index: int, names: Sequence[str]) -> str:
    others = [(count, place) for place, count in enumerate(counts) if place != index and count]
    if not others:
        return ""
    count, place = max(others)
    return f"{names[place]} ({count:,})"


def _environment(record: Record, *, has_data: bool) -> list[tuple[str, str]]:
    timings, git, data = record.get("timings") or {}, record.get("git"), record.get("data") or {}
    facts = [("created", moment(record["created"]))]
    if data and not has_data:
        rows = f"{data['train_rows']:,} train, {data['val_rows']:,} val"
        facts.append(("data", f"{data['name']}: {data['task']}, {rows}"))
    facts += [(name, str(record[name])) for name in ("seed", "device", "precision") if record.get(name) is not None]
    if record.get("parameters"):
        facts.append(("parameters", f"{record['parameters']:,}"))
    facts += [(spoken(name), _seconds(value)) for name, value in timings.items() if value is not None]
    facts.append(("git", f"{git['commit']}{', changed' if git['dirty_sha256'] else ''}" if git else "no repository"))
    facts.append(("versions", ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())))
    return facts


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.3g} ms"
