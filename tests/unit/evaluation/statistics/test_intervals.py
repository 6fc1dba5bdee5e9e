from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from holdfast.core.metrics import metrics_of
from holdfast.evaluation.scorer import score_models
from holdfast.evaluation.statistics.intervals import metric_intervals
from holdfast.evaluation.statistics.sampling import Sampling, wilson

Array = np.ndarray[Any, Any]
NAMES = ("loss", "accuracy", "precision_macro", "recall_macro", "f1_macro", "auroc_macro")


@pytest.mark.parametrize(("num_right", "num_rows"), [(9420, 10_000), (351, 359), (1, 2), (50, 100), (0, 7), (7, 7)])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_proportions_are_those_of_statsmodels(num_right: int, num_rows: int, confidence: float) -> None:
    expected = proportion_confint(num_right, num_rows, alpha=1 - confidence, method="wilson")
    assert wilson(num_right / num_rows, num_rows, Sampling(confidence)) == pytest.approx(expected, abs=1e-9)


def test_the_line_that_reports_quote() -> None:
    low, high = wilson(0.942, 10_000)
    assert (round(100 * low, 2), round(100 * high, 2)) == (93.72, 94.64)


@pytest.mark.parametrize(
    ("num_right", "num_rows", "low", "high"),
    [(0, 1, 0, 0.7935), (1, 1, 0.2065, 1), (0, 100, 0, 0.0370), (100, 100, 0.9630, 1)],
)
def test_extreme_counts_have_finite_intervals(num_right: int, num_rows: int, low: float, high: float) -> None:
    assert wilson(num_right / num_rows, num_rows) == pytest.approx((low, high), abs=5e-5)


def _rows(n: int, classes: int = 3) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(1)
    p = random.dirichlet(np.full(classes, 0.5), n).astype(np.float32)
    return p, np.array([random.choice(classes, p=row / row.sum()) for row in p.astype(np.float64)])


def _values(**values: float) -> dict[str, float]:
    return {**dict.fromkeys(NAMES, 0.7), **values}


def test_every_metric_of_classes_has_an_interval() -> None:
    p, y = _rows(400)
    intervals = metric_intervals(_values(), p, y, task="multiclass")
    assert list(intervals) == list(NAMES)
    methods = {name: entry["method"] for name, entry in intervals.items()}
    assert methods == {
        "loss": "BCa bootstrap",
        "accuracy": "wilson",
        "precision_macro": "multinomial draws",
        "recall_macro": "multinomial draws",
        "f1_macro": "multinomial draws",
        "auroc_macro": "DeLong, logit",
    }
    assert intervals == metric_intervals(_values(), p, y, task="multiclass")
    narrow, wide = intervals, metric_intervals(_values(), p, y, task="multiclass", sampling=Sampling(confidence=0.99))
    assert all(wide[name]["low"] < narrow[name]["low"] < narrow[name]["high"] < wide[name]["high"] for name in NAMES)


def test_accuracy_is_a_whole_number_of_rows() -> None:
    p, y = _rows(300)
    accuracy = metric_intervals({"accuracy": 0.12345678}, p, y, task="multiclass")["accuracy"]
    assert accuracy["value"] == (p.argmax(axis=1) == y).mean()


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("n", [1, 2, 50])
def test_all_right_and_all_wrong_have_finite_intervals_that_are_not_certain(n: int, share: float) -> None:
    y = np.arange(n) % 2
    p = np.where(y == share, 0.9, 0.1).astype(np.float32)
    values = {"accuracy": share, "f1_macro": share, "auroc_macro": share if n > 1 else math.nan, "loss": 0.1}
    intervals = metric_intervals(values, p, y, task="binary")
    for name in ("accuracy", "f1_macro", "auroc_macro"):
        assert 0 <= intervals[name]["low"] < intervals[name]["high"] <= 1
    assert intervals["accuracy"]["method"] == "wilson"
    assert intervals["f1_macro"]["method"] == "wilson (multinomial draws do not vary)"
    assert (intervals["f1_macro"]["low"], intervals["f1_macro"]["high"]) == pytest.approx(wilson(share, n))
    assert intervals["loss"]["method"] == ("none (one row)" if n == 1 else "bootstrap (all rows are equal)")


def test_one_class_leaves_the_area_open() -> None:
    p, y = np.array([0.2, 0.9, 0.7], np.float32), np.array([1, 1, 1])
    intervals = metric_intervals({"auroc_macro": math.nan, "accuracy": 2 / 3}, p, y, task="binary")
    assert intervals["auroc_macro"] == {
        "value": None,
        "low": 0.0,
        "high": 1.0,
        "method": "none (not defined on these rows)",
    }


def test_an_r2_that_is_not_defined_has_no_interval() -> None:
    intervals = metric_intervals(
        {"r2": math.nan, "mae": 1.0}, np.array([1.0, 2.0]), np.array([3.0, 3.0]), task="regression"
    )
    assert (intervals["r2"]["value"], intervals["r2"]["low"]) == (None, None)
    assert intervals["mae"]["low"] < intervals["mae"]["high"]


def test_groups_widen_the_intervals() -> None:
    p, y = _rows(200)
    p, y, groups = np.repeat(p, 5, axis=0), np.repeat(y, 5), np.repeat(np.arange(200), 5)
    rows = metric_intervals(_values(), p, y, task="multiclass")
    grouped = metric_intervals(_values(), p, y, task="multiclass", sampling=Sampling(groups=groups))
    for name in NAMES:
        ratio = (grouped[name]["high"] - grouped[name]["low"]) / (rows[name]["high"] - rows[name]["low"])
        assert ratio == pytest.approx(math.sqrt(5), rel=0.05), name
    assert "group" in grouped["accuracy"]["method"]


@pytest.mark.parametrize("num_groups", [1, 2, 9])
def test_rows_of_few_groups_are_known_as_well_as_so_many_rows(num_groups: int) -> None:
    """An area of [0.867, 1] beside an accuracy of [0.207, 1] came of rows that counted one by one."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 200)
    p = np.clip(0.5 + (y - 0.5) * random.uniform(0.0, 0.9, 200) + random.normal(0, 0.1, 200), 0, 1).astype(np.float32)
    sampling = Sampling(groups=np.arange(200) % num_groups)
    intervals = metric_intervals({"accuracy": 0.9, "auroc_macro": 0.9}, p, y, task="binary", sampling=sampling)
    for name in ("accuracy", "auroc_macro"):
        entry = intervals[name]
        assert (entry["low"], entry["high"]) == pytest.approx(wilson(entry["value"], num_groups))
        assert entry["method"] == f"wilson of {num_groups} groups"


def _degenerate(task: str, case: str) -> tuple[Array, Array]:
    """Predictions and targets."""
    n = 1 if case == "one row" else 12
    y = np.zeros(n, np.int64) if case in ("one row", "one class") else np.arange(n) % 2
    wrong = case == "all wrong"
    p = np.where((y == 1) ^ wrong, 0.9, 0.1)
    if task == "regression":
        y = np.full(n, 3.0) if case == "one class" else np.linspace(1.0, 2.0, n)
        return (y + wrong).astype(np.float32), y.astype(np.float32)
    if task == "multiclass":
        return np.stack([1 - p, p], axis=1).astype(np.float32), y
    if task == "multilabel":
        return np.stack([p, p], axis=1).astype(np.float32), np.stack([y, y], axis=1).astype(np.uint8)
    return p.astype(np.float32), y


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "regression"])
@pytest.mark.parametrize("case", ["all right", "all wrong", "one row", "one class"])
@pytest.mark.parametrize("has_groups", [False, True])
def test_degenerate_rows_have_finite_intervals_with_a_method(task: str, case: str, has_groups: bool) -> None:
    predictions, y = _degenerate(task, case)
    groups = (np.arange(len(y)) // 3) if has_groups else None
    intervals = score_models(
        [predictions], y, task=task, num_outputs=2 if predictions.ndim == 2 else 1, target_std=1.0,
        models=[{"name": "a", "has_loss": True}], sampling=Sampling(groups=groups),
    )["models"][0]["metrics"]  # fmt: skip
    assert set(intervals) == set(metrics_of(task, asked_for=False))
    for name, entry in intervals.items():
        assert entry["method"], name
        if entry["value"] is None:
            assert (entry["low"], entry["high"]) in ((0.0, 1.0), (None, None)), name
        elif entry["method"].startswith("none (one "):
            assert (entry["low"], entry["high"]) == (None, None), name
        elif (name, case) == ("r2", "one class"):  # all targets are equal: it is no share of their spread
            assert (entry["low"], entry["high"]) == (None, None)
        else:
            assert np.isfinite([entry["low"], entry["high"]]).all(), name
            assert entry["low"] - 1e-9 <= entry["value"] <= entry["high"] + 1e-9, (name, entry)
    if task != "regression" and case in ("all right", "all wrong"):
        assert intervals["accuracy"]["value"] == (case == "all right")
        assert intervals["accuracy"]["low"] < intervals["accuracy"]["high"]
    json.dumps(intervals, allow_nan=False)
