"""The metrics that a run has and the meaning of its monitor, known without torch: a bad one is refused early."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from holdfast.config.resolve import resolve_target
from holdfast.core.errors import InputError, did_you_mean
from holdfast.core.metrics import METRICS, metrics_of
from holdfast.core.tasks import task_of

# Cyrillic and Greek letters
LOOK_ALIKES = str.maketrans("\u0442\u0435\u0455\u03c4\u03b5\u03c3", "testes")
Own = Mapping[str, Mapping[str, Any]]


def asked_for(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The metrics that a run has beside the usual ones, since `metrics` or `monitor` names them.

    Returns:
        Name -> the user's own class as an entry of the config; an empty one for a metric of the table.
    """
    chosen = dict(config.get("metrics") or {})
    monitored, _ = metric_and_target(str(config.get("monitor")))
    if monitored in METRICS and METRICS[monitored].is_asked_for:
        chosen.setdefault(monitored, {})
    return chosen


def metric_and_target(monitor: str) -> tuple[str, str | None]:
    """The bare name of a metric, and the one of several targets that it is of: ("rmse", "price") of val/rmse/price.

    The target is None where the metric is of all targets.
    """
    metric, _, target = monitor.removeprefix("val/").partition("/")
    return metric, target or None


def check_monitor(
    monitor: str, task: str | None = None, own: Own | None = None, targets: Sequence[str] | None = None
) -> None:
    """Refuse a monitor that no epoch of `task` has, or that would choose by other rows than val.

    Args:
        monitor: As it is set; val/rmse/price is a metric of one of several targets.
        task: The task; while no rows are read yet it is unknown, and the metrics of every task are admitted.
        own: The node `metrics` of the config.
        targets: The names of the targets; while they are unknown, any name is admitted.

    Raises:
        InputError: With the names there are; a name about the test rows gets a word of its own.
    """
    names = list(dict.fromkeys([*(metrics_of(task) if task else METRICS), *(own or {})]))
    known = [f"val/{name}" for name in names]
    metric, target = metric_and_target(monitor)
    has_several = (task is None or task_of(task).is_multitarget) and (targets is None or len(targets) > 1)
    if target is not None and metric in names and metric != "loss" and has_several:
        known = [f"val/{metric}/{each}" for each in ([target] if targets is None else targets)]
    if monitor in known:
        return
    problem = f"is '{monitor}', which no metric produces" + (f" for a {task} task" if task else "")
    if names_test_rows(str(monitor)):
        problem = f"is '{monitor}': the test rows are sealed, nothing can be chosen by them"
    elif str(monitor).startswith("train/"):
        problem = f"is '{monitor}': choosing by train rows rewards overfitting"
    raise InputError("monitor", problem, allowed=", ".join(known), next=did_you_mean(str(monitor), known))


def targets_set(config: Mapping[str, Any]) -> list[str] | None:
    """The names of the targets, where `data.target` of a config sets them; None where only the rows tell."""
    names = config["data"].get("target")
    if names is None:
        return None
    return [names] if isinstance(names, str) else [str(name) for name in names]


def names_test_rows(name: str) -> bool:
    """Tell whether a metric claims to be of test rows, also in letters that only look like those of "test"."""
    letters = (letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    return "test" in "".join(letters).casefold().translate(LOOK_ALIKES)


def mode_of(monitor: str, mode: str = "auto", own: Own | None = None) -> Literal["min", "max"]:
    """The better direction of `monitor`; `auto` knows it by the metric. `own` is the node `metrics` of the config.

    Raises:
        InputError: `mode` is neither auto, min nor max; or a metric of the user's own says nothing of it.
    """
    name, _ = metric_and_target(monitor.removeprefix("train/"))
    if mode == "auto" and name in METRICS:
        return "min" if METRICS[name].is_lower_better else "max"
    if mode == "auto":
        entry = (own or {}).get(name) or {}
        is_higher_better = getattr(resolve_target(entry["_target_"]), "higher_is_better", None) if entry else True
        if "mode" not in entry and is_higher_better is None:
            problem = "is auto, and the class of the metric does not say which values are better"
            raise InputError("mode", problem, allowed="min, max", next=f"mode=max, or metrics.{name}.mode in its file")
        mode = str(entry.get("mode") or ("max" if is_higher_better else "min"))
    if mode not in ("min", "max"):
        raise InputError("mode", f"is '{mode}'", allowed="auto, min, max", next=did_you_mean(mode, ("min", "max")))
    return "min" if mode == "min" else "max"


def value_of_target(by_target: Mapping[str, Sequence[float]], name: str, targets: Sequence[str]) -> float:
    """The value of a metric of one of several targets, by a name such as rmse/price.

    Args:
        by_target: As of `metrics.compute_by_target`.
        name: As of `metric_and_target`.
        targets: The names of all targets.
    """
    metric, target = metric_and_target(name)
    assert target is not None
    return by_target[metric][targets.index(target)]


def named_by_target(
    by_target: Mapping[str, Sequence[float]], data: Mapping[str, Any] | None
) -> dict[str, dict[str, dict[str, float]]]:
    """The field `by_target` of a record's `best`: target -> metric -> value; no field where there is one target.

    Args:
        by_target: As of `metrics.compute_by_target`, of the val rows.
        data: The field `data` of the record.
    """
    if data is None or not task_of(data["task"]).is_multitarget:
        return {}
    places = enumerate(data["class_names"])
    return {"by_target": {target: {f"val/{name}": by_target[name][at] for name in by_target} for at, target in places}}


def is_better(value: float, best: float | None, mode: str) -> bool:
    """Tell whether `value` beats `best`; a NaN never does, and an equal value does not."""
    if value != value:  # noqa: PLR0124 - NaN
        return False
    return best is None or (value < best if mode == "min" else value > best)
