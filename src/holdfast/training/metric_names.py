"""Which metrics a run has, and what its monitor means, known without torch: a bad one is refused before that."""

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
    monitored = str(config.get("monitor")).removeprefix("val/")
    if monitored in METRICS and METRICS[monitored].is_asked_for:
        chosen.setdefault(monitored, {})
    return chosen


def check_monitor(monitor: str, task: str | None = None, own: Own | None = None) -> None:
    """Refuse a monitor that no epoch of `task` has, or that would choose by other rows than val.

    Without a task, while no rows are read yet, the metrics of every task are admitted. `own` is the node `metrics`.
    """
    names = dict.fromkeys([*(metrics_of(task) if task else METRICS), *(own or {})])
    known = [f"val/{name}" for name in names]
    if monitor in known:
        return
    problem = f"is '{monitor}', which no metric produces" + (f" for a {task} task" if task else "")
    if names_test_rows(str(monitor)):
        problem = f"is '{monitor}': the test rows are sealed, nothing can be chosen by them"
    elif str(monitor).startswith("train/"):
        problem = f"is '{monitor}': choosing by train rows rewards overfitting"
    raise InputError("monitor", problem, allowed=", ".join(known), next=did_you_mean(str(monitor), known))


def names_test_rows(name: str) -> bool:
    """Tell whether a metric claims to be of test rows, also in letters that only look like those of "test"."""
    letters = (letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    return "test" in "".join(letters).casefold().translate(LOOK_ALIKES)


def mode_of(monitor: str, mode: str = "auto", own: Own | None = None) -> Literal["min", "max"]:
    """The better direction of `monitor`; `auto` knows it by the metric. `own` is the node `metrics` of the config.

    Raises:
        InputError: `mode` is neither auto, min nor max; or a metric of the user's own says nothing of it.
    """
    name = monitor.rsplit("/", 1)[-1]
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
    return {
        "by_target": {
            target: {f"val/{name}": values[place] for name, values in by_target.items()}
            for place, target in enumerate(data["class_names"])
        }
    }


def is_better(value: float, best: float | None, mode: str) -> bool:
    """Tell whether `value` beats `best`; a NaN never does, and an equal value does not."""
    if value != value:  # noqa: PLR0124 - NaN
        return False
    return best is None or (value < best if mode == "min" else value > best)
