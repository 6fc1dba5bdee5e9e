"""A run's predictions for its val rows, for its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.tasks import task_of
from holdfast.ensembles.val_terms import val_terms

MAX_ROWS = 5_000
MAX_POINTS = 1_500


def val_facts(run: Path, x: Any, y: Any, val: NDArray[np.int64]) -> dict[str, Any] | None:
    """Predictions for val rows, at most 5,000, evenly over all; of an ensemble of folds out of fold, for every row.

    `x` and `y` are the development rows as stored, and `val` the indices of the val rows.

    Returns:
        {"rows", "confusion"}: true class by row, guessed one by column; {"rows", "targets"} for values, with {"name",
        "points", "residuals"} of each target; None for labels.
    """
    from holdfast.inference.network import load_run
    from holdfast.reporting.dataset import number_facts, spread_over

    loaded = load_run(run)
    if (loaded.record["ensemble"] or {}).get("out_of_fold"):
        records, members = zip(*loaded.members, strict=True)
        terms = val_terms(records, members, loaded.network.combine, out_of_fold=True)
        rows = spread_over(np.arange(len(terms.targets)), MAX_ROWS)
        targets, predictions = terms.targets[rows], terms.predicted(terms.terms[0][rows], loaded.network.temperature)
    else:
        rows = spread_over(val, MAX_ROWS)
        targets, predictions = np.asarray(y[rows]), loaded.network.predict(np.asarray(x[rows]))
    task = task_of(loaded.data["task"])
    if task.is_values:
        of_targets = []
        names = loaded.data["class_names"] or [""]
        columns = (values.reshape(len(rows), -1).T for values in (targets, predictions))
        for name, y_of, predicted in zip(names, *columns, strict=True):
            points = np.column_stack([y_of, predicted])[:: -(-len(rows) // MAX_POINTS)].astype(float).tolist()
            residuals = number_facts(predicted.astype(np.float64) - y_of)["histogram"]
            of_targets.append({"name": name, "points": points, "residuals": residuals})
        return {"rows": len(rows), "targets": of_targets}
    if task.is_labels:
        return None
    guessed = task.guesses(predictions).argmax(axis=1)
    num_classes = len(loaded.data["class_names"])
    confusion = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(confusion, (targets, guessed), 1)
    return {"rows": len(rows), "confusion": confusion.tolist()}
