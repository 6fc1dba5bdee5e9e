from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from holdfast.core.errors import InputError
from holdfast.core.metrics import metrics_of
from holdfast.training import metrics as ours
from holdfast.training.metrics import EpochMetrics, as_predictions, build_metrics, compute_metrics, update_metrics

GENERATOR = np.random.default_rng(1)


def computed(task: str, num_outputs: int, predictions: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    collection = build_metrics(task, num_outputs)
    half = len(targets) // 2
    for part in (slice(half), slice(half, None)):
        update_metrics(collection, torch.from_numpy(predictions[part]), torch.from_numpy(targets[part]), task)
    return compute_metrics(collection)


def probabilities(num_rows: int, num_classes: int) -> np.ndarray:
    return GENERATOR.dirichlet(np.ones(num_classes), num_rows).astype(np.float32)


def test_multiclass_is_scikit_learns() -> None:
    p, y = probabilities(200, 4), GENERATOR.integers(0, 4, 200)
    chosen = p.argmax(axis=1)
    assert computed("multiclass", 4, p, y) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(y, chosen),
            "precision_macro": sk.precision_score(y, chosen, average="macro"),
            "recall_macro": sk.recall_score(y, chosen, average="macro"),
            "f1_macro": sk.f1_score(y, chosen, average="macro"),
            "auroc_macro": sk.roc_auc_score(y, p / p.sum(1, keepdims=True), multi_class="ovr", average="macro"),
        },
        abs=1e-5,
    )


def test_binary_is_macro_over_both_classes() -> None:
    p, y = GENERATOR.random(100).astype(np.float32), GENERATOR.integers(0, 2, 100)
    chosen = (p > 0.5).astype(int)
    assert computed("binary", 1, p, y) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(y, chosen),
            "precision_macro": sk.precision_score(y, chosen, average="macro"),
            "recall_macro": sk.recall_score(y, chosen, average="macro"),
            "f1_macro": sk.f1_score(y, chosen, average="macro"),
            "auroc_macro": sk.roc_auc_score(y, p),
        },
        abs=1e-5,
    )


def test_multilabel_accuracy_counts_rows() -> None:
    p, y = GENERATOR.random((100, 3)).astype(np.float32), GENERATOR.integers(0, 2, (100, 3)).astype(np.uint8)
    chosen = (p > 0.5).astype(int)
    assert computed("multilabel", 3, p, y) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(y, chosen),
            "precision_macro": sk.precision_score(y, chosen, average="macro"),
            "recall_macro": sk.recall_score(y, chosen, average="macro"),
            "f1_macro": sk.f1_score(y, chosen, average="macro"),
            "auroc_macro": sk.roc_auc_score(y, p, average="macro"),
        },
        abs=1e-5,
    )


def test_regression_is_scikit_learns() -> None:
    y = GENERATOR.normal(100, 20, 50).astype(np.float32)
    p = (y + GENERATOR.normal(size=50)).astype(np.float32)
    assert computed("regression", 1, p, y) == pytest.approx(
        {
            "mae": sk.mean_absolute_error(y, p),
            "rmse": sk.root_mean_squared_error(y, p),
            "r2": sk.r2_score(y, p),
        },
        rel=1e-4,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_several_targets_are_scikit_learns_means(dtype: type) -> None:
    y = GENERATOR.normal([100.0, -3e5], [20.0, 1e4], (50, 2)).astype(dtype)
    outputs = (y + GENERATOR.normal(size=(50, 2)) * [1.0, 5e3]).astype(dtype)
    epoch = EpochMetrics("multitarget", 2)
    for rows in torch.arange(50).split(20):
        epoch.add(torch.tensor(1.0), torch.from_numpy(outputs[rows]), torch.from_numpy(y[rows]))
    numbers, tolerance = epoch.compute(), 1e-4 if dtype is np.float32 else 1e-9
    errors = {"mae": sk.mean_absolute_error, "rmse": sk.root_mean_squared_error}
    for name, error in errors.items():
        by_target = error(y, outputs, multioutput="raw_values")
        assert epoch.by_target[name] == pytest.approx(by_target.tolist(), rel=tolerance)
        assert numbers[name] == pytest.approx(by_target.mean(), rel=tolerance)
    assert epoch.by_target["r2"] == pytest.approx(sk.r2_score(y, outputs, multioutput="raw_values").tolist(), rel=1e-4)
    assert numbers["r2"] == pytest.approx(sk.r2_score(y, outputs), rel=1e-4)


def test_absent_classes_do_not_count_and_do_not_warn() -> None:
    p = np.float32([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.4, 0.5, 0.1]])
    numbers = computed("multiclass", 3, p, np.array([0, 0, 1, 1]))
    assert numbers == {name: 1.0 for name in metrics_of("multiclass", asked_for=False) if name != "loss"}


def test_auroc_of_a_single_class_is_not_defined() -> None:
    numbers = computed("binary", 1, np.float32([0.1, 0.7, 0.8]), np.array([1, 1, 1]))
    assert math.isnan(numbers["auroc_macro"])
    assert numbers["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("rows_per_update", [1, 50, 10_000])
def test_an_epoch_in_batches_is_the_whole(monkeypatch: pytest.MonkeyPatch, rows_per_update: int) -> None:
    monkeypatch.setattr(ours, "ROWS_PER_UPDATE", rows_per_update)
    outputs, y = torch.from_numpy(GENERATOR.normal(size=(103, 3))), torch.from_numpy(GENERATOR.integers(0, 3, 103))
    loss = torch.nn.functional.cross_entropy
    epoch = EpochMetrics("multiclass", 3)
    for _ in range(2):
        for part in torch.arange(103).split(20):
            epoch.add(loss(outputs[part], y[part]), outputs[part], y[part])
        numbers = epoch.compute()
        expected = computed("multiclass", 3, as_predictions(outputs, "multiclass").numpy(), y.numpy())
        assert list(numbers) == list(metrics_of("multiclass", asked_for=False))
        assert numbers["loss"] == pytest.approx(float(loss(outputs, y)), rel=1e-9)
        assert {name: numbers[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert epoch.compute() == {}


@pytest.mark.parametrize("offset", [0.0, 1e5, -1e5])
def test_r2_of_targets_far_from_zero(offset: float) -> None:
    """A float32 sum of their squares would have nothing left of their spread."""
    targets = (offset + torch.randn(3000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).float()
    predictions = targets + targets.flip(0) - offset
    metrics = build_metrics("regression", 1)
    for rows in torch.arange(3000).split(1000):
        update_metrics(metrics, predictions[rows], targets[rows], "regression")
    expected = sk.r2_score(targets.double().numpy(), predictions.double().numpy())
    assert compute_metrics(metrics)["r2"] == pytest.approx(expected, abs=1e-5)


def test_r2_of_equal_targets_is_one_or_zero() -> None:
    """As scikit-learn has it for float64; in float32 the mean of equal values may differ from them."""
    targets = torch.full((7,), 0.1)
    for predictions, expected in ((targets, 1.0), (targets + 1, 0.0)):
        metrics = build_metrics("regression", 1)
        update_metrics(metrics, predictions, targets, "regression")
        assert compute_metrics(metrics)["r2"] == expected


ASKED_FOR = ["balanced_accuracy", "average_precision_macro", "mcc", "log_loss"]


def test_metrics_that_are_asked_for_are_scikit_learns() -> None:
    p, y = probabilities(200, 4), GENERATOR.integers(0, 4, 200)
    metrics = build_metrics("multiclass", 4, ASKED_FOR)
    update_metrics(metrics, torch.from_numpy(p), torch.from_numpy(y), "multiclass")
    precisions = [sk.average_precision_score(y == c, p[:, c]) for c in range(4)]
    assert compute_metrics(metrics) == pytest.approx(
        {
            "balanced_accuracy": sk.balanced_accuracy_score(y, p.argmax(axis=1)),
            "average_precision_macro": np.mean(precisions),
            "mcc": sk.matthews_corrcoef(y, p.argmax(axis=1)),
            "log_loss": -np.log(p[np.arange(200), y]).mean(),
        },
        abs=1e-5,
    )


def test_absolute_errors_that_are_asked_for() -> None:
    p, y = GENERATOR.normal(size=101).astype(np.float32), GENERATOR.normal(3, 1, 101).astype(np.float32)
    metrics = build_metrics("regression", 1, ["p90_absolute_error", "median_absolute_error", "mape"])
    update_metrics(metrics, torch.from_numpy(p), torch.from_numpy(y), "regression")
    assert compute_metrics(metrics) == pytest.approx(
        {
            "median_absolute_error": np.median(np.abs(p - y)),
            "p90_absolute_error": np.quantile(np.abs(p - y), 0.9),
            "mape": sk.mean_absolute_percentage_error(y, p),
        },
        rel=1e-5,
    )


def test_a_metric_of_the_users_own_is_told_of_the_task() -> None:
    own = {"kappa": {"_target_": "torchmetrics.CohenKappa"}}
    p, y = probabilities(50, 3), GENERATOR.integers(0, 3, 50)
    metrics = build_metrics("multiclass", 3, ["kappa"], own)
    update_metrics(metrics, torch.from_numpy(p), torch.from_numpy(y), "multiclass")
    assert compute_metrics(metrics)["kappa"] == pytest.approx(sk.cohen_kappa_score(y, p.argmax(axis=1)), abs=1e-6)


@pytest.mark.parametrize(
    ("task", "name", "node", "words"),
    [
        ("regression", "mcc", {}, r"^metrics\.mcc: is no metric of a regression task; allowed: mae, rmse, r2"),
        ("multiclass", "mse", {"_target_": "torchmetrics.MeanSquaredError"}, r"^metrics\.mse: does not take"),
        ("multiclass", "all", {"_target_": "torchmetrics.Recall", "average": "none"}, r"^metrics\.all: gives \(3,\)"),
    ],
)
def test_a_metric_that_does_not_fit(task: str, name: str, node: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_metrics(task, 1 if task == "regression" else 3, [name], {name: node})
