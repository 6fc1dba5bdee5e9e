from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, r2_score, recall_score

from holdfast.core.metrics import of_counts
from holdfast.evaluation.statistics.resampling import (
    BCA_ROWS,
    count,
    count_intervals,
    draws_note,
    error_intervals,
    mean_interval,
    measured_intervals,
    num_draws,
)
from holdfast.evaluation.statistics.sampling import Sampling

Array = np.ndarray[Any, Any]


MACRO = ("precision_macro", "recall_macro", "f1_macro")


def _classes(n: int, classes: int) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    y = random.choice(classes, n, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    guess = np.where(random.random(n) < 0.7, y, random.integers(0, classes, n))
    return y, guess


def test_macro_means_are_those_of_scikit_learn() -> None:
    y, guess = _classes(60, 7)
    y[y == 2] = guess[guess == 2] = 3  # class 2 is neither there nor guessed
    truth, decided = (np.equal.outer(values, np.arange(7)) for values in (y, guess))
    counts = count(truth, decided)
    scores = [float(of_counts(name)(counts)) for name in MACRO]
    options: dict[str, Any] = {"average": "macro", "zero_division": 0.0}
    assert scores == pytest.approx([score(y, guess, **options) for score in (precision_score, recall_score, f1_score)])


@pytest.mark.parametrize("is_multilabel", [False, True])
def test_draws_of_counts_spread_as_rows_drawn_anew(is_multilabel: bool) -> None:
    random = np.random.default_rng(0)
    if is_multilabel:
        truth = random.random((200, 3)) < 0.4
        decided = truth ^ (random.random((200, 3)) < 0.2)
    else:
        truth, decided = (np.equal.outer(values, np.arange(3)) for values in _classes(200, 3))
    names = ["accuracy", *MACRO] if is_multilabel else ["accuracy", *MACRO, "mcc", "balanced_accuracy"]
    intervals = count_intervals(names, truth, decided, Sampling(), is_multilabel=is_multilabel)
    parts = []
    for _ in range(4000):
        rows = random.integers(0, 200, 200)
        counts = count(truth[rows], decided[rows], is_multilabel=is_multilabel)
        parts.append([float(of_counts(name)(counts)) for name in names])
    expected = np.percentile(parts, [2.5, 97.5], axis=0)
    bounds = np.array(list(intervals.values())).T
    assert bounds == pytest.approx(expected, abs=0.006)


def test_the_interval_of_a_mean_is_near_students_for_many_rows() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 2000)
    half = 1.96 * values.std() / np.sqrt(2000)
    interval = mean_interval(values, Sampling())
    assert (interval["low"], interval["high"]) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)
    assert interval["method"] == "BCa bootstrap"


def test_bca_leans_where_rows_are_skewed() -> None:
    """For the mean of exponential rows BCa lies right of the symmetric interval (Efron 1987)."""
    values = np.random.default_rng(0).exponential(size=40)
    interval = mean_interval(values, Sampling())
    assert interval["high"] - values.mean() > 1.2 * (values.mean() - interval["low"])


def test_many_rows_take_percentiles() -> None:
    values = np.random.default_rng(0).random(BCA_ROWS + 1)
    assert mean_interval(values, Sampling())["method"] == "percentile bootstrap"
    assert [num_draws(n) for n in (100, 10**6, 10**8)] == [9_999, 2_000, 999]


def test_errors_of_a_regression_have_intervals_around_their_values() -> None:
    random = np.random.default_rng(0)
    y = random.normal(100.0, 5.0, 300)
    p = y + random.normal(size=300)
    intervals = error_intervals(["loss", "mae", "rmse", "r2", "mape"], p, y, 5.0, Sampling())
    values = {
        "mae": np.abs(p - y).mean(),
        "rmse": np.sqrt(np.square(p - y).mean()),
        "r2": r2_score(y, p),
        "loss": np.square((p - y) / 5.0).mean(),
        "mape": (np.abs(p - y) / np.abs(y)).mean(),
    }
    for name, value in values.items():
        assert intervals[name]["low"] < value < intervals[name]["high"]
    assert intervals["loss"]["high"] == pytest.approx((intervals["rmse"]["high"] / 5.0) ** 2, rel=0.01)


def test_equal_rows_and_one_row_are_told() -> None:
    equal = mean_interval(np.full(10, 0.3), Sampling())
    assert equal.pop("method") == "bootstrap (all rows are equal)"
    assert equal == pytest.approx({"value": 0.3, "low": 0.3, "high": 0.3})
    assert mean_interval(np.array([0.3]), Sampling())["method"] == "none (one row)"


def test_two_rows_fall_back_and_say_so() -> None:
    intervals = error_intervals(["mae", "rmse", "r2"], np.array([1.0, 2.0]), np.array([1.5, 2.25]), 1.0, Sampling())
    assert all(np.isfinite([entry["low"], entry["high"]]).all() for entry in intervals.values())
    assert intervals["r2"]["method"] == "percentile bootstrap (BCa is not defined)"


def test_groups_are_drawn_whole() -> None:
    """Equal rows within each group: as many rows as groups, and no more."""
    values = np.random.default_rng(0).normal(size=50)
    alone = mean_interval(values, Sampling())
    grouped = mean_interval(np.repeat(values, 4), Sampling(groups=np.repeat(np.arange(50), 4)))
    assert (grouped["low"], grouped["high"]) == pytest.approx((alone["low"], alone["high"]), abs=0.02)
    assert grouped["method"] == "BCa bootstrap of groups"


@pytest.mark.slow
def test_fewer_draws_are_told() -> None:
    random = np.random.default_rng(0)
    truth = np.equal.outer(random.integers(0, 2, 250_000), np.arange(2))
    assert mean_interval(truth[:, 0] * 1.0 + random.random(250_000), Sampling())["method"] == (
        "percentile bootstrap, 8,000 draws"
    )
    assert draws_note(250_000) == ", 8,000 draws"
    assert draws_note(200_020) == ""


@pytest.mark.parametrize("in_groups", [False, True])
def test_any_metric_has_an_interval_by_measuring_draws(in_groups: bool) -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 300)
    groups = np.arange(300) // 3 if in_groups else None

    def measure(predictions: Any, y: Any, *, names: Any) -> dict[str, float]:
        assert (predictions == y).all()
        return {"median": float(np.median(y)), "constant": 1.0, "nothing": np.nan}

    seen = {"median": float(np.median(values)), "constant": 1.0, "nothing": np.nan}
    intervals = measured_intervals(seen, values, values, measure, Sampling(groups=groups))
    words = "percentile bootstrap of groups, 999 draws" if in_groups else "percentile bootstrap, 999 draws"
    assert intervals["median"]["method"] == words
    half = 1.96 * 1.2533 * values.std() / np.sqrt(300)
    assert intervals["median"]["high"] - intervals["median"]["low"] == pytest.approx(2 * half, rel=0.35)
    assert intervals["constant"]["method"] == f"{words} (they do not vary)"
    assert intervals["nothing"]["method"] == "none (not defined on draws of the rows)"
