from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from holdfast.core.metrics import METRICS, Counts, in_order, is_imbalanced, metrics_of, of_counts, with_rare_classes
from holdfast.core.tasks import TASKS


def test_every_entry_is_a_metric_of_a_task_and_says_what_it_is() -> None:
    of_tasks = {name for task in TASKS for name in metrics_of(task)}
    assert of_tasks == set(METRICS)
    assert all(metric.definition for metric in METRICS.values())
    assert all((metric.interval == "counts") == (metric.of_counts is not None) for metric in METRICS.values())


def test_every_epoch_has_few_and_the_others_are_asked_for() -> None:
    assert metrics_of("regression", asked_for=False) == ("loss", "mae", "rmse", "r2")
    assert "mcc" in metrics_of("binary")
    assert "mcc" not in metrics_of("binary", asked_for=False)
    assert "mcc" not in metrics_of("multilabel")
    assert metrics_of("reconstruction") == ("loss",)


def test_order_is_that_of_the_table_and_own_names_come_last() -> None:
    assert in_order(["mine", "mcc", "loss"]) == ["loss", "mcc", "mine"]


@pytest.mark.parametrize("num_classes", [2, 4])
def test_metrics_of_counts_are_scikit_learns(num_classes: int) -> None:
    random = np.random.default_rng(0)
    y, guess = random.integers(0, num_classes - 1, 60), random.integers(0, num_classes, 60)
    truth, guessed = (np.equal.outer(each, np.arange(num_classes)) for each in (y, guess))
    sums = [(truth & guessed).sum(0), guessed.sum(0), truth.sum(0)]
    counts = Counts(np.asarray(60.0), (y == guess).sum(), *sums)
    expected = {
        "accuracy": sk.accuracy_score(y, guess),
        "mcc": sk.matthews_corrcoef(y, guess),
        "f1_macro": sk.f1_score(y, guess, average="macro"),
        "balanced_accuracy": np.mean([(guess[y == c] == c).mean() for c in np.unique(y)]),
    }
    for name, value in expected.items():
        assert float(of_counts(name)(counts)) == pytest.approx(value, abs=1e-12)


def test_matthews_of_one_guessed_class_is_zero() -> None:
    counts = Counts(np.asarray(4.0), np.asarray(2), np.array([2, 0]), np.array([4, 0]), np.array([2, 2]))
    assert float(of_counts("mcc")(counts)) == 0.0


def test_recall_leads_beside_accuracy_where_a_class_is_rare() -> None:
    metrics = {"val/loss": 0.1, "val/accuracy": 0.99, "val/f1_macro": 0.6, "val/recall_macro": 0.5}
    assert list(with_rare_classes(metrics, [990, 10]))[:2] == ["val/accuracy", "val/recall_macro"]
    assert with_rare_classes(metrics, [990, 10]) == metrics
    assert list(with_rare_classes(metrics, [60, 40])) == list(metrics)
    assert list(with_rare_classes({"val/rmse": 1.0}, None)) == ["val/rmse"]
    assert [is_imbalanced(counts) for counts in ([75, 25], [76, 24], [10, 10, 4])] == [False, True, False]
