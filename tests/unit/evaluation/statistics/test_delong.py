from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from holdfast.evaluation.statistics.delong import auroc_interval, macro_auroc, standard_error
from holdfast.evaluation.statistics.sampling import Sampling

Array = np.ndarray[Any, Any]


def by_pairs(scores: Array, truth: Array) -> tuple[Array, Array]:
    """DeLong et al. 1988, equations 2 to 5, as they stand: every case with every control."""
    kernel = np.stack([np.sign(s[truth][:, None] - s[~truth][None]) / 2 + 0.5 for s in scores.T])
    v10, v01 = kernel.mean(axis=2), kernel.mean(axis=1)
    m, n = v10.shape[1], v01.shape[1]
    areas = v10.mean(axis=1)
    s10 = (v10 - areas[:, None]) @ (v10 - areas[:, None]).T / (m - 1)
    s01 = (v01 - areas[:, None]) @ (v01 - areas[:, None]).T / (n - 1)
    return areas, s10 / m + s01 / n


def _binary(n: int = 120) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    truth = random.random(n) < 0.4
    scores = np.round(random.normal(size=(n, 2)) + truth[:, None], 1)  # rounded: ties
    return scores, truth


def test_the_influence_is_that_of_all_pairs() -> None:
    """Areas, their variances and their covariance, of one binary task also when it is said by two columns."""
    scores, truth = _binary()
    areas, covariance = by_pairs(scores, truth)
    (area, first), (_, second) = (macro_auroc(column[:, None], truth[:, None]) for column in scores.T)
    assert area == pytest.approx(areas[0]) == roc_auc_score(truth, scores[:, 0])
    assert first @ second / len(truth) ** 2 == pytest.approx(covariance[0, 1])
    assert standard_error(first, Sampling()) ** 2 == pytest.approx(covariance[0, 0])
    twice = macro_auroc(np.stack([-scores[:, 0], scores[:, 0]], axis=1), np.stack([~truth, truth], axis=1))
    assert twice[1] == pytest.approx(first)


def test_the_interval_is_on_the_logit_scale() -> None:
    scores, truth = _binary()
    p = 1 / (1 + np.exp(-scores[:, 0]))
    area, variance = roc_auc_score(truth, p), by_pairs(p[:, None], truth)[1][0, 0]
    centre, half = math.log(area / (1 - area)), norm.ppf(0.975) * math.sqrt(variance) / (area * (1 - area))
    expected = [1 / (1 + math.exp(-(centre + sign * half))) for sign in (-1, 1)]
    columns = np.stack([1 - p, p], axis=1), np.stack([~truth, truth], axis=1)
    interval = auroc_interval(*columns, Sampling())
    assert (interval["low"], interval["high"]) == pytest.approx(expected)
    assert interval["method"] == "DeLong, logit"


def test_the_macro_variance_is_that_of_rows_drawn_anew() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 4, 300)
    scores = random.normal(size=(300, 4)) + np.equal.outer(y, np.arange(4))
    truth = np.equal.outer(y, np.arange(4))
    value, influence = macro_auroc(scores, truth)
    assert value == pytest.approx(np.mean([roc_auc_score(truth[:, i], scores[:, i]) for i in range(4)]))
    drawn = []
    for _ in range(600):
        rows = random.integers(0, 300, 300)
        drawn.append(macro_auroc(scores[rows], truth[rows])[0])
    assert standard_error(influence, Sampling()) == pytest.approx(np.std(drawn), rel=0.1)


@pytest.mark.parametrize("scores", [[0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1], [0.5, 0.5, 0.5, 0.5]])
def test_rankings_that_do_not_vary_have_finite_intervals(scores: list[float]) -> None:
    p, truth = np.array(scores), np.array([False, False, True, True])
    interval = auroc_interval(np.stack([1 - p, p], axis=1), np.stack([~truth, truth], axis=1), Sampling())
    value = roc_auc_score(truth, p)
    assert 0 <= interval["low"] <= value <= interval["high"] <= 1
    assert interval["high"] - interval["low"] > 0.5
    assert interval["method"] == "wilson of the smallest class (DeLong does not vary)"


def test_rows_of_one_class_leave_the_area_open() -> None:
    p = np.array([0.1, 0.2])
    interval = auroc_interval(np.stack([1 - p, p], axis=1), np.array([[True, False]] * 2), Sampling())
    assert (interval["low"], interval["high"], interval["method"]) == (0.0, 1.0, "none (one class)")
