"""What can be said of single classes and rows. It tells far more of the test rows than a metric: `disclose` only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.evaluation.statistics import as_columns, guesses

Array = NDArray[Any]


def details_of(predictions: Array, y: Array, task: str) -> dict[str, Any]:
    """The confusion matrix (true class by row; null for labels and values) and per-class results."""
    if task == "regression":
        return {"confusion": None, "per_class": []}
    truth, guess = as_columns(y, predictions, task), guesses(predictions, task)
    hits, guessed, true = (truth & guess).sum(axis=0), guess.sum(axis=0), truth.sum(axis=0)
    confusion = None if task == "multilabel" else truth.T.astype(np.int64) @ guess.astype(np.int64)
    return {
        "confusion": None if confusion is None else confusion.tolist(),
        "per_class": [
            {
                "rows": int(rows),
                "precision": _ratio(right, named),
                "recall": _ratio(right, rows),
                "f1": _ratio(2 * right, named + rows),
            }
            for right, named, rows in zip(hits.tolist(), guessed.tolist(), true.tolist(), strict=True)
        ],
    }


def outcomes_of(predictions: list[Array], y: Array, task: str) -> NDArray[np.float32]:
    """(n, models): the guessed class, whether all labels are right, or the error of a value."""
    if task == "regression":
        columns = [p - np.asarray(y, np.float32) for p in predictions]
    elif task == "multilabel":
        truth = np.asarray(y) > 0
        columns = [(truth == guesses(p, task)).all(axis=1) for p in predictions]
    else:
        columns = [guesses(p, task).argmax(axis=1) for p in predictions]
    return np.stack(columns, axis=1).astype(np.float32)


def _ratio(top: int, bottom: int) -> float:
    return top / bottom if bottom else 0.0
