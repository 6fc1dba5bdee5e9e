from __future__ import annotations

import numpy as np
import pytest

from holdfast.inference.val_rows import val_facts
from holdfast.training.restore import load_model

from .conftest import MakeRun

X = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32)
VAL = np.arange(10, 50)


@pytest.mark.parametrize(("task", "size"), [("multiclass", 3), ("binary", 2)])
def test_what_is_taken_for_what(make_run: MakeRun, task: str, size: int) -> None:
    run, y = make_run(task=task), np.arange(50) % size
    facts = val_facts(run, X, y, VAL)
    predictions = load_model(run).predict(X[VAL])
    guessed = predictions.argmax(axis=1) if task == "multiclass" else (predictions > 0.5).astype(int)
    assert facts is not None
    assert facts["rows"] == 40
    assert sum(map(sum, facts["confusion"])) == 40
    assert facts["confusion"][0][1] == ((y[VAL] == 0) & (guessed == 1)).sum()


def test_values_and_labels(make_run: MakeRun) -> None:
    y = X.sum(axis=1)
    facts = val_facts(make_run(task="regression"), X, y, VAL)
    assert facts is not None
    (target,) = facts["targets"]
    assert [point[0] for point in target["points"]] == y[VAL].tolist()
    assert sum(target["residuals"]["counts"]) == 40
    assert val_facts(make_run("other", task="multilabel"), X, (X > 0).astype(np.uint8)[:, :3], VAL) is None
