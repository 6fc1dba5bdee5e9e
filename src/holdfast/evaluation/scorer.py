"""The process that compares predictions with targets: `python -m holdfast.evaluation.scorer`. It runs no user's code.

One message in (targets, groups where there are any, the predictions of each model), one out: for each model the metrics
with their intervals and their slack, that is how far each could move if every prediction moved by `tolerance`, to tell
a score that is reproduced from one that is not; the first model against the others; what `disclose` may show.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.evaluation import wire
from holdfast.evaluation.comparison import compare
from holdfast.evaluation.details import details_of, outcomes_of
from holdfast.evaluation.resampling import Sampling
from holdfast.evaluation.statistics import DEFAULT, metric_intervals

Array = NDArray[Any]
FLOAT32_STEP = 6e-8


def main() -> int:
    """Answer one message."""
    wire.forbid_core_dumps()
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    message = wire.receive(sys.stdin.buffer)
    assert message is not None
    header, arrays = message
    y, groups, predictions = (
        arrays[0],
        arrays[1] if header.pop("has_groups") else None,
        arrays[-len(header["models"]) :],
    )
    sampling = Sampling(header.pop("confidence"), header.pop("proportion"), groups, header.pop("seed"))
    scored = score_models(predictions, y, sampling=sampling, **header)
    wire.send(answer, scored, outcomes_of(predictions, y, header["task"]))
    return 0


def score_models(
    predictions: Sequence[Array],
    y: Array,
    *,
    models: Sequence[Mapping[str, Any]],
    sampling: Sampling = DEFAULT,
    **options: Any,
) -> dict[str, Any]:
    """Every model on the same rows, and the first against the others.

    Args:
        predictions: Of each model, as of `score_rows`.
        y: (n,) or (n, labels) targets.
        models: {"name", "has_loss"} of each.
        sampling: How intervals are taken.
        options: Of `score_rows`.
    """
    names, task = [str(model["name"]) for model in models], str(options["task"])
    scored = [
        score_rows(p, y, has_loss=bool(model["has_loss"]), sampling=sampling, **options)
        for p, model in zip(predictions, models, strict=True)
    ]
    class_details = [details_of(p, y, task) for p in predictions]
    return {
        "models": [{"name": name, **one} for name, one in zip(names, scored, strict=True)],
        "comparisons": compare(predictions, names, y, task=task, sampling=sampling),
        "details": [{"name": name, **one} for name, one in zip(names, class_details, strict=True)],
    }


def score_rows(
    predictions: Array,
    y: Array,
    *,
    task: str,
    num_outputs: int,
    target_std: float,
    has_loss: bool,
    tolerance: float,
    sampling: Sampling = DEFAULT,
    use_intervals: bool = True,
) -> dict[str, Any]:
    """Metrics with intervals, and the slack of each.

    Args:
        predictions: (n, classes) or (n, labels) probabilities, (n,) P(1), or (n,) values.
        y: (n,) or (n, labels) targets.
        task: "multiclass", "binary", "multilabel" or "regression".
        num_outputs: Classes, labels, or 1.
        target_std: Spread of the train targets, the unit of a regression's loss.
        has_loss: Whether the loss that was trained with follows from the predictions.
        tolerance: How far a prediction may move.
        sampling: How intervals are taken.
        use_intervals: False: values alone, for val rows.
    """
    from holdfast.ensembles.members import score

    scores = score(np.array(predictions), np.array(y), task=task, num_outputs=num_outputs, target_std=target_std)
    values = {name.removeprefix("val/"): value for name, value in scores.items()}
    if not has_loss:
        del values["loss"]
    if use_intervals:
        metrics = metric_intervals(values, predictions, y, task=task, target_std=target_std, sampling=sampling)
    else:
        metrics = {name: {"value": value if np.isfinite(value) else None} for name, value in values.items()}
    found = slack(predictions, y, list(values), task=task, tolerance=tolerance, target_std=target_std)
    return {"metrics": metrics, "slack": found}


def slack(
    predictions: Array, y: Array, names: list[str], *, task: str, tolerance: float, target_std: float = 1.0
) -> dict[str, float]:
    """How far each metric can move, from above, when no prediction moves by more than `tolerance`.

    For a regression both are in units of the train targets' spread.
    """
    if task == "regression":
        return {name: tolerance * (target_std if name in ("mae", "rmse") else 2.0) for name in names}
    columns = predictions if predictions.ndim == 2 else predictions[:, None]
    truth = _as_columns(y, columns.shape[1], task)
    share = _share_of_ties(columns, task, tolerance)
    slacks = {name: min(1.0, share * len(columns) / max(1, int(truth.sum(axis=0).min()))) for name in names}
    slacks["accuracy"] = share
    if "auroc_macro" in slacks:
        pairs = [_close_pairs(columns[:, index], truth[:, index], tolerance) for index in range(columns.shape[1])]
        slacks["auroc_macro"] = float(np.mean(pairs))
    if "loss" in slacks:
        slacks["loss"] = _loss_slack(columns, truth, task, tolerance)
    return slacks


def _as_columns(y: Array, num_columns: int, task: str) -> NDArray[np.bool_]:
    """(n, columns): whether the row has the class or label."""
    if task == "multiclass":
        return np.equal.outer(np.asarray(y), np.arange(num_columns))  # type: ignore[no-any-return]
    columns: NDArray[np.bool_] = np.asarray(y).reshape(len(y), num_columns) > 0
    return columns


def _share_of_ties(columns: Array, task: str, tolerance: float) -> float:
    if task == "multiclass":
        best = np.sort(columns, axis=1)
        return float((best[:, -1] - best[:, -2] <= 2 * tolerance).mean())
    return float((np.abs(columns - 0.5) <= tolerance).any(axis=1).mean())


def _close_pairs(scores: Array, truth: NDArray[np.bool_], tolerance: float) -> float:
    """Share of pairs, one row with and one without the class, that may change their order."""
    inside, outside = np.sort(scores[truth]), np.sort(scores[~truth])
    if not len(inside) or not len(outside):
        return 0.0
    first = np.searchsorted(outside, inside - 2 * tolerance, "left")
    last = np.searchsorted(outside, inside + 2 * tolerance, "right")
    return float((last - first).sum() / (len(inside) * len(outside)))


def _loss_slack(columns: Array, truth: NDArray[np.bool_], task: str, tolerance: float) -> float:
    """How far -log p moves with rounding, from above; p is not below 1e-12, so that it moves by no more than 28."""
    if task == "multiclass":
        # Softmax keeps the relative precision of small probabilities.
        return float(tolerance)
    likely = np.where(truth, columns, 1.0 - columns).astype(np.float64)
    return float(tolerance + np.minimum(FLOAT32_STEP / np.maximum(likely, 1e-12), 28.0).mean())


if __name__ == "__main__":
    raise SystemExit(main())
