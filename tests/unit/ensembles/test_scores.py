from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from holdfast.core.tasks import task_of
from holdfast.ensembles.scores import score, score_each
from holdfast.training import metrics_at_once

OPTIONS: dict[str, Any] = {"target_std": 1.0}


def test_a_multiclass_score_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(4), 300).astype(np.float32)
    y = random.integers(0, 4, 300)
    guess = p.argmax(axis=1)
    assert score(p, y, task="multiclass", num_outputs=4, **OPTIONS) == pytest.approx(
        {
            "loss": -np.log(p.astype(np.float64)[np.arange(300), y]).mean(),
            "accuracy": reference.accuracy_score(y, guess),
            "precision_macro": reference.precision_score(y, guess, average="macro"),
            "recall_macro": reference.recall_score(y, guess, average="macro"),
            "f1_macro": reference.f1_score(y, guess, average="macro"),
            "auroc_macro": np.mean([reference.roc_auc_score(y == index, p[:, index]) for index in range(4)]),
        },
        abs=1e-6,
    )


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6])
def test_a_regression_score_is_that_of_scikit_learn(offset: float) -> None:
    random = np.random.default_rng(0)
    y = (offset + random.normal(size=50)).astype(np.float32)
    p = (y + random.normal(size=50)).astype(np.float32)
    scores = score(p, y, task="regression", num_outputs=1, target_std=2.0)
    y, p = y.astype(np.float64), p.astype(np.float64)
    mse = reference.mean_squared_error(y, p)
    expected = {"mae": reference.mean_absolute_error(y, p), "rmse": mse**0.5, "r2": reference.r2_score(y, p)}
    assert scores == pytest.approx({**expected, "loss": mse / 4}, abs=1e-5)


def test_losses_of_rows() -> None:
    random = np.random.default_rng(0)
    p, y = random.dirichlet(np.ones(3), 50).astype(np.float32), random.integers(0, 3, 50)
    assert task_of("multiclass").row_losses(p, y) == pytest.approx(-np.log(p[np.arange(50), y]), rel=1e-6)
    labels = np.array([[1, 0], [0, 0]])
    chances = np.array([[0.9, 0.2], [0.5, 0.5]])
    expected = [-(math.log(0.9) + math.log(0.8)) / 2, math.log(2)]
    assert task_of("multilabel").row_losses(chances, labels) == pytest.approx(expected)
    scores = score(chances.astype(np.float32), labels, task="multilabel", num_outputs=2, **OPTIONS)
    assert scores["loss"] == pytest.approx(np.mean(expected), rel=1e-6)


@pytest.mark.parametrize(("task", "num_outputs"), [("multiclass", 4), ("binary", 1), ("multilabel", 3)])
@pytest.mark.parametrize("names", [None, ["loss", "f1_macro", "auroc_macro"]])
def test_models_are_scored_at_once_to_the_bits_of_one(
    monkeypatch: pytest.MonkeyPatch, task: str, num_outputs: int, names: list[str] | None
) -> None:
    random = np.random.default_rng(0)
    shape = (5, 200) if task == "binary" else (5, 200, num_outputs)
    predictions = random.random(shape)
    if task == "multiclass":
        predictions /= predictions.sum(axis=2, keepdims=True)
    predictions = predictions.astype(np.float32).round(2)
    y = random.integers(0, 2, (200, 3)) if task == "multilabel" else random.integers(0, max(2, num_outputs), 200)
    facts: dict[str, Any] = {"task": task, "num_outputs": num_outputs, "names": names, **OPTIONS}
    at_once = score_each(predictions, y, **facts)
    monkeypatch.setattr(metrics_at_once, "MOST_AT_ONCE", 0)  # torchmetrics computes them
    assert at_once == [score(each, y, **facts) for each in predictions]
    assert len({tuple(values.values()) for values in at_once}) == 5


def test_models_of_a_task_without_classes_are_scored_one_by_one() -> None:
    random = np.random.default_rng(0)
    predictions, y = random.normal(size=(3, 50)).astype(np.float32), random.normal(size=50)
    values = score_each(predictions, y, task="regression", num_outputs=1, **OPTIONS)
    assert values == [score(each, y, task="regression", num_outputs=1, **OPTIONS) for each in predictions]
    assert values[0]["mae"] == pytest.approx(np.abs(predictions[0] - y).mean(), rel=1e-5)
