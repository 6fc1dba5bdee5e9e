"""The page of one run, from its record: score, curves, val rows, data, config. Nothing on it comes from a test row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from holdfast.core.files import write_atomic
from holdfast.core.run_record import now
from holdfast.reporting import charts, plots
from holdfast.reporting.data_page import Strips, data_sections, verdict_chip, whole_page, worst
from holdfast.reporting.pictures import as_data_uri
from holdfast.reporting.pieces import definitions, figure, metric_value, section, table

FILE_NAME = "report.html"
AUGMENTED = "augmented.png"
CHIPS = {
    **{"completed": "good", "failed": "bad", "interrupted": "wait", "running": "wait"},
    **{"pass": "good", "fail": "bad", "doubtful": "wait", "skipped": "wait"},
}
MAX_CLASSES = 40
Record = Mapping[str, Any]


def write_run_page(
    folder: Path,
    record: Record,
    *,
    data: Mapping[str, Any] | None = None,
    strips: Strips = (),
    val: Mapping[str, Any] | None = None,
) -> Path:
    """Write `report.html` into a run's folder.

    Args:
        folder: Of the run.
        record: Its `run.json`.
        data: What `data_facts.dataset_facts` tells; None leaves the sections of the data out.
        strips: Examples of train images.
        val: Of val rows: {"rows", "confusion"} for classes, or {"rows", "points"} for values; None leaves it out.
    """
    path = folder / FILE_NAME
    augmented = folder / AUGMENTED
    picture = augmented.read_bytes() if augmented.is_file() else None
    write_atomic(path, run_page(record, data=data, strips=strips, val=val, augmented=picture))
    return path


def run_page(
    record: Record,
    *,
    data: Mapping[str, Any] | None = None,
    strips: Strips = (),
    val: Mapping[str, Any] | None = None,
    augmented: bytes | None = None,
) -> str:
    """The whole page; arguments as of `write_run_page`."""
    sections = [_scores(record), *_curves(record), _members(record), _val_rows(record, val), _verdicts(record)]
    if data is not None:
        chip = verdict_chip(worst(data["checks"]))
        name, rows = escape(data["name"]), f"{data['rows']['train'] + data['rows']['val']:,}"
        sections.append(f"<div class='part'><h2>Data: {name} {chip}</h2><p>{rows} train and val rows.</p></div>")
        sections += data_sections(data, strips)
    if augmented:
        picture = f'<img class="wide" alt="augmented train images" src="{as_data_uri(augmented)}">'
        note = "<p class='note'>Left a train image, beside it what becomes of it: is its class still to be seen?</p>"
        sections.append(section("Augmented examples", picture + note))
    sections += [_config(record), _environment(record, has_data=data is not None)]
    return whole_page(f"run {record['id']}", _head(record), [one for one in sections if one], now())


def _head(record: Record) -> str:
    best, status = record["best"], record["status"]
    chip = f'<span class="chip {CHIPS.get(status, "wait")}">{escape(status)}</span>'
    line = escape(record.get("stop_reason") or "")
    score = ""
    if best:
        epoch = f" in epoch {best['epoch']}" if best["epoch"] else ""
        told = metric_value(best["monitor"].removeprefix("val/"), best["value"])
        score = f"<p class='score'><b>{told}</b> {escape(best['monitor'])}{epoch}</p>"
    words = " ".join(f"<code>{escape(word)}</code>" for word in record["overrides"]) or "the defaults"
    eyebrow = "run" if record["kind"] == "fit" else record["kind"]
    title = f"<p class='eyebrow'>{escape(eyebrow)}</p><h1>{escape(record['id'])}</h1>"
    return f"{title}<p>{chip} {line}</p>{score}<p>{words}</p>"


def _scores(record: Record) -> str:
    best = record["best"]
    if not best:
        return ""
    last = record["history"][-1] if record["history"] else {}
    rows = [
        [escape(name.removeprefix("val/")), _metric(name, value), _metric(name, last.get(name))]
        for name, value in best["metrics"].items()
    ]
    names = ["metric", "best epoch" if best["epoch"] else "value", "last epoch"]
    if not last:
        names, rows = names[:2], [row[:2] for row in rows]
    told = "Val rows chose this epoch, so its scores flatter it; the" if best["epoch"] else "The"
    note = f"<p class='note'>{told} test rows are sealed.</p>"
    return section("Val metrics", table(names, rows, numeric=(1, 2)) + note)


def _metric(name: str, value: float | None) -> str:
    return "" if value is None else metric_value(name.rpartition("/")[2], value)


def _curves(record: Record) -> list[str]:
    history = record["history"]
    if not history:
        return []
    mark = (record["best"] or {}).get("epoch")
    names = list(dict.fromkeys(key.partition("/")[2] for entry in history for key in entry if "/" in key))
    drawn = []
    for name in names:
        pair = [(f"{part}/{name}", _points(history, f"{part}/{name}")) for part in ("train", "val")]
        series = [(told, points) for told, points in pair if points]
        size = charts.LARGE if name == "loss" else charts.SMALL
        chart = charts.lines(series, label=f"{name} by epoch", mark=mark, size=size)
        drawn.append((name, figure(chart)))
        if name == "loss":
            log = charts.lines(series, label="loss by epoch, logarithmic", mark=mark, is_log=True)
            drawn.append(("loss, logarithmic", figure(log)))
    rate = _points(history, "lr")
    if rate:
        values = [value for _, value in rate]
        is_wide = min(values) > 0 and max(values) > 20 * min(values)
        told = [("lr at the end of the epoch", rate)]
        chart = charts.lines(told, label="learning rate by epoch", is_log=is_wide, size=charts.SMALL)
        drawn.append(("learning rate", figure(chart)))
    first = [f"<h3>{escape(name)}</h3>{chart}" for name, chart in drawn if name.startswith("loss")]
    rest = [f"<div><h3>{escape(name)}</h3>{chart}</div>" for name, chart in drawn if not name.startswith("loss")]
    note = (
        "<p class='note'>By epoch; the dashed line is the best one. Train metrics are taken while the epoch runs.</p>"
    )
    return [section("Training", "".join(first) + f"<div class='charts'>{''.join(rest)}</div>" + note)]


def _points(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    return [(entry["epoch"], entry[key]) for entry in history if isinstance(entry.get(key), int | float)]


def _members(record: Record) -> str:
    if not record.get("ensemble"):
        return ""
    monitor = record["monitor"]
    rows = [
        [escape(one["run"]), f"{one['weight']:.3f}", _metric(monitor, one["metrics"].get(monitor))]
        for one in record["ensemble"]["members"]
    ]
    return section("Members", table(["run", "weight", escape(monitor)], rows, numeric=(1, 2)))


def _val_rows(record: Record, val: Mapping[str, Any] | None) -> str:
    if not val:
        return ""
    note = f"{val['rows']:,} val rows, predicted by the best checkpoint."
    if "points" in val:
        drawn = charts.scatter(val["points"], label="values and predictions", names=("value", "prediction"))
        residuals = charts.histogram(val["residuals"], label="prediction minus value")
        return section(
            "Val rows", f"{figure(drawn)}<h3>Prediction minus value</h3>{figure(residuals)}<p class='note'>{note}</p>"
        )
    names = record["data"]["class_names"]
    drawn = plots.confusion(val["confusion"], names) if len(names) <= MAX_CLASSES else ""
    words = "True class by row, guessed class by column; shaded by the share of the row, errors four times. "
    rows = [
        [
            escape(name),
            f"{sum(counts):,}",
            f"{100 * counts[index] / max(1, sum(counts)):.1f}",
            _confused(counts, index, names),
        ]
        for index, (name, counts) in enumerate(zip(names, val["confusion"], strict=True))
    ]
    listed = table(["class", "rows", "recall %", "taken most for"], rows[:MAX_CLASSES], numeric=(1, 2))
    return section("Val rows", f"{figure(drawn)}<p class='note'>{words if drawn else ''}{note}</p>{listed}")


def _confused(counts: Sequence[int], index: int, names: Sequence[str]) -> str:
    others = [(count, place) for place, count in enumerate(counts) if place != index and count]
    if not others:
        return ""
    count, place = max(others)
    return f"{escape(names[place])} ({count:,})"


def _verdicts(record: Record) -> str:
    """What was checked before training, with its numbers and what to do, and the diagnosis."""
    rows = []
    for check in record.get("checks") or []:
        chip = f'<span class="chip {CHIPS[check["verdict"]]}">{escape(check["verdict"])}</span>'
        causes = "<br>".join(escape(cause) for cause in check["causes"])
        evidence = escape(json.dumps(check["evidence"], indent=1))
        numbers = f"<details><summary>evidence</summary><pre>{evidence}</pre></details>"
        rows.append([escape(check["name"]), chip, causes + numbers, escape(check["next"])])
    names = ["check", "verdict", "what was found", "next"]
    checks = section("Checks before training", table(names, rows)) if rows else ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in record.get("diagnosis") or [])
    return checks + (section("Diagnosis", f"<ul>{items}</ul>") if items else "")


def _config(record: Record) -> str:
    chosen = [
        (group, str(option)) for group, option in sorted(record["choices"].items()) if option not in (None, "none")
    ]
    from omegaconf import OmegaConf

    text = OmegaConf.to_yaml(OmegaConf.create(dict(record["config"])))
    body = f"<details><summary>every key</summary><pre>{escape(text)}</pre></details>"
    return section("Config", definitions(chosen) + body)


def _environment(record: Record, *, has_data: bool) -> str:
    timings, git, data = record.get("timings") or {}, record.get("git"), record.get("data") or {}
    told: list[tuple[str, str]] = [("created", f"{record['created'][:10]} {record['created'][11:16]} UTC")]
    if data and not has_data:
        rows = f"{data['train_rows']:,} train, {data['val_rows']:,} val"
        told.append(("data", f"{data['name']}: {data['task']}, {rows}"))
    told += [(name, str(record[name])) for name in ("seed", "device", "precision") if record.get(name) is not None]
    if record.get("parameters"):
        told.append(("parameters", f"{record['parameters']:,}"))
    told += [(name.replace("_", " "), _seconds(value)) for name, value in timings.items() if value is not None]
    told.append(("git", f"{git['commit']}{', changed' if git['dirty_sha256'] else ''}" if git else "no repository"))
    told.append(("versions", ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())))
    hint = "" if has_data else "<p class='note'><code>holdfast report RUN</code> adds the data and the val rows.</p>"
    return section("Run", definitions(told) + hint)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.3g} ms"
