from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from holdfast.evaluation import processes
from holdfast.evaluation.details import outcomes_of
from holdfast.evaluation.resampling import Sampling
from holdfast.evaluation.scorer import score_models, score_rows, slack

OPTIONS = {"target_std": 1.0, "has_loss": True, "tolerance": 1e-6}


def test_a_multiclass_score_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(4), 300).astype(np.float32)
    y = random.integers(0, 4, 300)
    found = {k: v["value"] for k, v in score_rows(p, y, task="multiclass", num_outputs=4, **OPTIONS)["metrics"].items()}
    guess = p.argmax(axis=1)
    assert found == pytest.approx(
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
    found = score_rows(p, y, task="binary", num_outputs=1, **OPTIONS)["metrics"]["auroc_macro"]
    assert found["value"] == pytest.approx(reference.roc_auc_score(y, p), abs=1e-12)
    assert found["low"] < found["value"] < found["high"]


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6])
def test_a_regression_score_is_that_of_scikit_learn(offset: float) -> None:
    random = np.random.default_rng(0)
    y = (offset + random.normal(size=50)).astype(np.float32)
    p = (y + random.normal(size=50)).astype(np.float32)
    options = {**OPTIONS, "target_std": 2.0}
    found = {k: v["value"] for k, v in score_rows(p, y, task="regression", num_outputs=1, **options)["metrics"].items()}
    y, p = y.astype(np.float64), p.astype(np.float64)
    mse = reference.mean_squared_error(y, p)
    expected = {"mae": reference.mean_absolute_error(y, p), "rmse": mse**0.5, "r2": reference.r2_score(y, p)}
    assert found == pytest.approx({**expected, "loss": mse / 4}, abs=1e-9)


def test_a_loss_that_does_not_follow_from_predictions_is_left_out() -> None:
    options = {**OPTIONS, "has_loss": False}
    answer = score_rows(np.array([0.2, 0.9], np.float32), np.array([0, 1]), task="binary", num_outputs=1, **options)
    assert "loss" not in answer["metrics"]
    assert answer["metrics"]["accuracy"]["value"] == 1.0


def test_slack_counts_ties_and_close_pairs() -> None:
    p = np.array([0.5, 0.9, 0.1, 0.1], np.float32)
    y = np.array([1, 1, 0, 1])
    found = slack(p, y, ["accuracy", "auroc_macro", "f1_macro", "loss"], task="binary", tolerance=1e-6)
    assert found["accuracy"] == 0.25
    assert found["auroc_macro"] == pytest.approx(1 / 3)
    assert found["f1_macro"] == pytest.approx(1 / 3)
    assert found["loss"] < 2e-6


def test_a_probability_that_rounds_to_one_bounds_the_loss() -> None:
    p, y = np.array([1.0, 0.1], np.float32), np.array([0, 0])
    assert slack(p, y, ["loss"], task="binary", tolerance=1e-6)["loss"] == pytest.approx(14, abs=0.01)


def test_several_models_are_scored_on_the_same_rows() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 200)
    good, bad = (random.dirichlet(np.ones(3), 200).astype(np.float32) + size * np.eye(3)[y] for size in (1.0, 0.2))
    models = [{"name": "a", "has_loss": False}, {"name": "b", "has_loss": True}]
    options = {"task": "multiclass", "num_outputs": 3, "target_std": 1.0, "tolerance": 1e-6}
    scored = score_models([good, bad], y, models=models, sampling=Sampling(confidence=0.975), **options)
    assert [one["name"] for one in scored["models"]] == ["a", "b"]
    assert ["loss" in one["metrics"] for one in scored["models"]] == [False, True]
    alone = score_rows(good, y, has_loss=False, sampling=Sampling(confidence=0.975), **options)
    assert scored["models"][0]["metrics"] == alone["metrics"]
    assert {one["metric"] for one in scored["comparisons"]} == {"accuracy", "auroc_macro"}
    (first, _) = scored["details"]
    guess = good.argmax(axis=1)
    assert first["confusion"] == reference.confusion_matrix(y, guess).tolist()
    recall = [one["recall"] for one in first["per_class"]]
    assert recall == pytest.approx(reference.recall_score(y, guess, average=None))
    assert np.array_equal(outcomes_of([good, bad], y, "multiclass"), np.stack([guess, bad.argmax(axis=1)], axis=1))


@pytest.mark.slow
def test_the_scorer_is_a_process_and_answers_the_same() -> None:
    random = np.random.default_rng(0)
    p, y, groups = random.random(120, np.float32), random.integers(0, 2, 120), np.arange(120) // 4
    options = {"task": "binary", "num_outputs": 1, "target_std": 1.0, "tolerance": 1e-6}
    models = [{"name": "a", "has_loss": True}, {"name": "b", "has_loss": True}]
    sampling = Sampling(0.99, "clopper-pearson", groups, 3)
    found = processes.score_models([p, 1 - p], y, models=models, sampling=sampling, **options)
    expected = score_models([p, 1 - p], y, models=models, sampling=sampling, **options)
    assert found.models == expected["models"]
    assert found.comparisons == expected["comparisons"]
    assert found.outcomes.shape == (120, 2)
