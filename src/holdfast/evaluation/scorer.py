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
from holdfast.core.tasks import task_of
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
    target_std: float,
    sampling: Sampling = DEFAULT,
) -> dict[str, Any]:
    """Every model on the same rows, and the first against the others.

    Args:
        predictions: Of each model, as of `metric_intervals`, like `y`, `task`, `target_std` and `sampling`.
        models: {"name", "has_loss", "metrics"} of each: whether the loss it was trained with follows from its
            predictions, and the names of its metrics, where they are not the usual ones.
        num_outputs: Classes, labels, or 1.

    Returns:
        "models": {"name", "metrics"} of each; "comparisons"; "details": {"name", "confusion", "per_class"} of each.
    """
    scored, details = [], []
    for model, p in zip(models, predictions, strict=True):
        measure = partial(score, task=task, num_outputs=num_outputs, target_std=target_std)
        values = measure(np.array(p), y, names=model.get("metrics"))
        if not model["has_loss"]:
            del values["loss"]
        metrics = metric_intervals(values, p, y, task=task, target_std=target_std, sampling=sampling, measure=measure)
        scored.append({"name": model["name"], "metrics": metrics})
        details.append({"name": model["name"], **details_of(p, y, task)})
    names = [str(model["name"]) for model in models]
    comparisons = compare(predictions, names, y, task=task, sampling=sampling)
    return {"models": scored, "comparisons": comparisons, "details": details}


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
