from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from holdfast.core.tasks import task_of
from holdfast.evaluation import processes
from holdfast.evaluation.scorer import score_models
from holdfast.evaluation.statistics.resampling import Sampling

OPTIONS = {"target_std": 1.0, "models": [{"name": "a", "has_loss": True}]}


def _metrics(p: Any, y: Any, **options: Any) -> dict[str, Any]:
    metrics: dict[str, Any] = score_models([p], y, **(OPTIONS | options))["models"][0]["metrics"]
    return metrics


def test_a_multiclass_score_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(4), 300).astype(np.float32)
    y = random.integers(0, 4, 300)
    values = {name: entry["value"] for name, entry in _metrics(p, y, task="multiclass", num_outputs=4).items()}
    guess = p.argmax(axis=1)
    assert values == pytest.approx(
        {
            "loss": -np.log(p.astype(np.float64)[np.arange(300), y]).mean(),
            "accuracy": reference.accuracy_score(y, guess),
            "precision_macro": reference.precision_score(y, guess, average="macro"),
            "recall_macro": reference.recall_score(y, guess, average="macro"),
            "f1_macro": reference.f1_score(y, guess, average="macro"),
            "auroc_macro": np.mean([reference.roc_auc_score(y == index, p[:, index]) for index in range(4)]),
        },
        abs=1e-12,
    )


def test_the_area_of_a_binary_task_is_that_of_scikit_learn_for_small_probabilities() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 300)
    p = np.exp(-20 + 2 * y + random.normal(size=300)).astype(np.float32)  # 1 - p is 1 in float32
    auroc = _metrics(p, y, task="binary", num_outputs=1)["auroc_macro"]
    assert auroc["value"] == pytest.approx(reference.roc_auc_score(y, p), abs=1e-12)
    assert auroc["low"] < auroc["value"] < auroc["high"]


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6])
def test_a_regression_score_is_that_of_scikit_learn(offset: float) -> None:
    random = np.random.default_rng(0)
    y = (offset + random.normal(size=50)).astype(np.float32)
    p = (y + random.normal(size=50)).astype(np.float32)
    metrics = _metrics(p, y, task="regression", num_outputs=1, target_std=2.0)
    y, p = y.astype(np.float64), p.astype(np.float64)
    mse = reference.mean_squared_error(y, p)
    expected = {"mae": reference.mean_absolute_error(y, p), "rmse": mse**0.5, "r2": reference.r2_score(y, p)}
    values = {name: entry["value"] for name, entry in metrics.items()}
    assert values == pytest.approx({**expected, "loss": mse / 4}, abs=1e-9)


def test_a_loss_that_does_not_follow_from_predictions_is_left_out() -> None:
    models = [{"name": "a", "has_loss": False}]
    p, y = np.array([0.2, 0.9], np.float32), np.array([0, 1])
    metrics = _metrics(p, y, task="binary", num_outputs=1, models=models)
    assert "loss" not in metrics
    assert metrics["accuracy"]["value"] == 1.0


def test_several_models_are_scored_on_the_same_rows() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 200)
    good, bad = (random.dirichlet(np.ones(3), 200).astype(np.float32) + size * np.eye(3)[y] for size in (1.0, 0.2))
    models = [{"name": "a", "has_loss": False}, {"name": "b", "has_loss": True}]
    options = {"task": "multiclass", "num_outputs": 3, "target_std": 1.0}
    scored = score_models([good, bad], y, models=models, sampling=Sampling(confidence=0.975), **options)
    assert [model["name"] for model in scored["models"]] == ["a", "b"]
    assert ["loss" in model["metrics"] for model in scored["models"]] == [False, True]
    alone = score_models([good], y, models=models[:1], sampling=Sampling(confidence=0.975), **options)
    assert scored["models"][0] == alone["models"][0]
    assert {comparison["metric"] for comparison in scored["comparisons"]} == {"accuracy", "auroc_macro"}
    (first, _) = scored["details"]
    guess = good.argmax(axis=1)
    assert first["confusion"] == reference.confusion_matrix(y, guess).tolist()
    recall = [entry["recall"] for entry in first["per_class"]]
    assert recall == pytest.approx(reference.recall_score(y, guess, average=None))
    outcomes = [task_of("multiclass").outcomes(p, y) for p in (good, bad)]
    assert np.array_equal(outcomes, [guess, bad.argmax(axis=1)])


@pytest.mark.slow
def test_the_scorer_is_a_process_and_answers_the_same() -> None:
    random = np.random.default_rng(0)
    p, y, groups = random.random(120, np.float32), random.integers(0, 2, 120), np.arange(120) // 4
    options = {"task": "binary", "num_outputs": 1, "target_std": 1.0}
    metrics = ["accuracy", "auroc_macro"]
    models = [{"name": name, "has_loss": True, "metrics": metrics} for name in "ab"]
    fields = {**options, "class_names": [], "models": models, "intervals": {"seed": 3}, "criterion": None}
    answer = processes.score(fields, [p, 1 - p], y, confidence=0.99, groups=groups)
    sampling = Sampling(0.99, groups, 3)
    expected = score_models([p, 1 - p], y, models=models, sampling=sampling, **options)
    assert answer.models == expected["models"]
    assert answer.comparisons == expected["comparisons"]
    assert answer.outcomes.shape == (120, 2)
