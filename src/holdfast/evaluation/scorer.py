"""The process that compares predictions with targets: `python -m holdfast.evaluation.scorer`. It runs no user's code.

Targets come in, groups where there are any, and the predictions of each model. For each model the metrics go out with
their intervals, the first model against the others, and what tells far more of the test rows than a metric and is let
out by `disclose` only: the details of single classes, and the outcome of every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from holdfast.core import child
from holdfast.core.messages import Array, Header
from holdfast.core.metrics import metrics_of
from holdfast.core.tasks import PerTarget, task_of
from holdfast.ensembles.scores import score
from holdfast.evaluation.statistics.comparison import compare
from holdfast.evaluation.statistics.intervals import metric_intervals
from holdfast.evaluation.statistics.sampling import DEFAULT, Sampling


def answer(header: Header, arrays: list[Array]) -> tuple[Header, Sequence[Array]]:
    """Score models; the header has the options of `score_models` and, but for the groups, of `Sampling`."""
    y, *predictions = arrays
    groups = predictions.pop(0) if header.pop("has_groups") else None
    sampling = Sampling(header.pop("confidence"), groups, header.pop("seed"))
    outcomes = [task_of(header["task"]).outcomes(p, y) for p in predictions]
    return score_models(predictions, y, sampling=sampling, **header), [np.stack(outcomes, axis=1)]


def score_models(
    predictions: Sequence[Array],
    y: Array,
    *,
    models: Sequence[Mapping[str, Any]],
    task: str,
    num_outputs: int,
    target_std: PerTarget,
    class_names: Sequence[str] = (),
    sampling: Sampling = DEFAULT,
) -> dict[str, Any]:
    """Every model on the same rows, and the first against the others.

    Args:
        predictions: Of each model, as of `metric_intervals`, like `y`, `task`, `target_std` and `sampling`.
        models: {"name", "has_loss", "metrics"} of each: whether the loss it was trained with follows from its
            predictions, and the names of its metrics, where they are not the usual ones.
        num_outputs: Classes, labels, targets, or 1.
        class_names: Of classes, labels or targets.

    Returns:
        "models": {"name", "metrics"} of each, of several targets with "targets": {"name", "metrics"} of each;
        "comparisons"; "details": {"name", "confusion", "per_class"} of each.
    """
    scored, details = [], []
    for model, p in zip(models, predictions, strict=True):
        names = model.get("metrics") or metrics_of(task, asked_for=False)
        names = [name for name in names if name != "loss" or model["has_loss"]]
        metrics = _metrics(p, y, names, sampling, task=task, num_outputs=num_outputs, target_std=target_std)
        scored.append({"name": model["name"], "metrics": metrics})
        if task_of(task).is_multitarget:
            scored[-1]["targets"] = _of_targets(p, y, names, class_names, sampling)
        details.append({"name": model["name"], **details_of(p, y, task)})
    comparisons = compare(predictions, [str(model["name"]) for model in models], y, task=task, sampling=sampling)
    return {"models": scored, "comparisons": comparisons, "details": details}


def _metrics(
    predictions: Array,
    y: Array,
    names: Sequence[str],
    sampling: Sampling,
    *,
    task: str,
    num_outputs: int = 1,
    target_std: PerTarget = 1.0,
) -> dict[str, dict[str, Any]]:
    """The named metrics of a model with their intervals."""
    measure = partial(score, task=task, num_outputs=num_outputs, target_std=target_std)
    values = measure(np.array(predictions), y, names=names)
    chosen = {name: value for name, value in values.items() if name in names}
    options: dict[str, Any] = {"task": task, "target_std": target_std}
    return metric_intervals(chosen, predictions, y, sampling=sampling, measure=measure, **options)


def _of_targets(
    predictions: Array, y: Array, names: Sequence[str], targets: Sequence[str], sampling: Sampling
) -> list[dict[str, Any]]:
    """The metrics of each target with their intervals, as if it were the only one; the loss is of all together."""
    own_names = [name for name in names if name != "loss"]
    columns = zip(targets, predictions.T, y.T, strict=True)
    return [
        {"name": target, "metrics": _metrics(p, own_y, own_names, sampling, task="regression")}
        for target, p, own_y in columns
    ]


def details_of(predictions: Array, y: Array, task: str) -> dict[str, Any]:
    """The confusion matrix (true class by row; null for labels and values) and per-class results."""
    kind = task_of(task)
    if kind.is_values:
        return {"confusion": None, "per_class": []}
    guess = kind.guesses(predictions)
    truth = kind.truth(y, guess.shape[1])
    hits, guessed, true = (truth & guess).sum(axis=0), guess.sum(axis=0), truth.sum(axis=0)
    confusion = None if kind.is_labels else (truth.T.astype(np.int64) @ guess.astype(np.int64)).tolist()
    per_class = [
        {
            "rows": rows,
            "precision": _ratio(right, named),
            "recall": _ratio(right, rows),
            "f1": _ratio(2 * right, named + rows),
        }
        for right, named, rows in zip(hits.tolist(), guessed.tolist(), true.tolist(), strict=True)
    ]
    return {"confusion": confusion, "per_class": per_class}


def _ratio(top: int, bottom: int) -> float:
    return top / bottom if bottom else 0.0


if __name__ == "__main__":
    raise SystemExit(child.answer_questions(answer))
