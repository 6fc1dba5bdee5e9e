"""The metrics a task has, by name, known without torch: a bad monitor is refused before it is imported."""

from __future__ import annotations

import unicodedata
from typing import Literal

from holdfast.core.errors import InputError, did_you_mean
from holdfast.core.tasks import CLASS_METRICS, TASKS, task_of

LOWER_IS_BETTER = ("loss", "mae", "rmse")
# those that are a share of rows, written in per cent
SHARES = CLASS_METRICS[1:]
ALL_NAMES = tuple(dict.fromkeys(name for task in TASKS.values() for name in task.metrics))
# Cyrillic and Greek letters
LOOK_ALIKES = str.maketrans("\u0442\u0435\u0455\u03c4\u03b5\u03c3", "testes")
# exact AUROC sorts every row of an epoch: on the train rows that costs more than it tells
_NOT_IN_TRAINING = ("auroc_macro",)


def expected_names(task: str) -> tuple[str, ...]:
    """The metrics that every epoch of `task` has: `val/...`, then `train/...`."""
    names = task_of(task).metrics
    train = (name for name in names if name not in _NOT_IN_TRAINING)
    return (*(f"val/{name}" for name in names), *(f"train/{name}" for name in train))


def check_monitor(monitor: str, task: str | None = None) -> None:
    """Refuse a monitor that no epoch of `task` has, or that would choose by other rows than val.

    Args:
        monitor: Such as `val/accuracy`.
        task: None while the rows are not read yet: the metrics of every task are admitted.

    Raises:
        InputError: With the names there are; a name about the test rows gets a word of its own.
    """
    known = [f"val/{name}" for name in (task_of(task).metrics if task else ALL_NAMES)]
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


def mode_of(monitor: str, mode: str = "auto") -> Literal["min", "max"]:
    """The better direction of `monitor`; `auto` knows it by the metric's name.

    Raises:
        InputError: `mode` is neither auto, min nor max.
    """
    if mode == "auto":
        return "min" if monitor.rsplit("/", 1)[-1] in LOWER_IS_BETTER else "max"
    if mode not in ("min", "max"):
        raise InputError("mode", f"is '{mode}'", allowed="auto, min, max", next=did_you_mean(mode, ("min", "max")))
    return "min" if mode == "min" else "max"


def is_better(value: float, best: float | None, mode: str) -> bool:
    """Tell whether `value` beats `best`; a NaN never does, and an equal value does not."""
    if value != value:  # noqa: PLR0124 - NaN
        return False
    return best is None or (value < best if mode == "min" else value > best)
