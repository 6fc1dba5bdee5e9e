from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.contingency_tables import mcnemar as reference

from holdfast.evaluation.statistics.comparison import bonett_price, compare, holm, mcnemar
from holdfast.evaluation.statistics.sampling import Sampling

from .test_delong import by_pairs

Array = np.ndarray[Any, Any]


def test_mcnemar_as_published() -> None:
    """Fagerland et al. 2013, airway hyper-responsiveness: b = 1, c = 7 of n = 21."""
    assert mcnemar(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert bonett_price(1, 7, 21) == pytest.approx((-0.508, -0.013), abs=5e-4)


@pytest.mark.parametrize(("b", "c"), [(0, 5), (3, 3), (40, 61), (12, 0)])
def test_mcnemar_is_that_of_statsmodels(b: int, c: int) -> None:
    assert mcnemar(b, c) == pytest.approx(reference([[10, b], [c, 10]], exact=True).pvalue)


def test_no_discordant_pairs_are_no_difference_with_a_finite_interval() -> None:
    assert mcnemar(0, 0) == 1.0
    low, high = bonett_price(0, 0, 100)
    assert low == -high
    assert 0 < high < 0.03


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def _models(n: int = 300) -> tuple[Array, Array, Array]:
    random = np.random.default_rng(0)
    y = random.integers(0, 2, n)
    good, bad = (1 / (1 + np.exp(-(2 * y - 1) * size - random.normal(size=n))) for size in (1.5, 0.5))
    return good, bad, y


def test_a_better_model_is_found_better() -> None:
    good, bad, y = _models()
    accuracy, area, same, same_area = compare([good, bad, good], ["a", "b", "c"], y, task="binary")
    assert (accuracy["metric"], accuracy["models"]) == ("accuracy", ["a", "b"])
    right = [(p > 0.5) == y for p in (good, bad)]
    assert accuracy["difference"] == pytest.approx(right[0].mean() - right[1].mean())
    assert accuracy["only_first"] == (right[0] & ~right[1]).sum()
    assert 0 < accuracy["low"] < accuracy["difference"] < accuracy["high"]
    assert accuracy["p_holm"] == pytest.approx(2 * accuracy["p"])
    areas, covariance = by_pairs(np.stack([good, bad], axis=1), y == 1)
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert (area["metric"], area["method"]) == ("auroc_macro", "DeLong")
    assert area["difference"] == pytest.approx(areas[0] - areas[1])
    assert (area["high"] - area["low"]) / 2 == pytest.approx(1.959964 * error, rel=1e-6)
    assert (same["difference"], same["p"], same["low"]) == (0, 1.0, pytest.approx(-same["high"]))
    assert (same_area["difference"], same_area["p"]) == (0, 1.0)


def test_two_perfect_rankings_are_not_certain() -> None:
    y = np.array([0] * 10 + [1] * 10)
    first, other = np.linspace(0.1, 0.9, 20), np.linspace(0.2, 0.8, 20)
    area = compare([first, other], ["a", "b"], y, task="binary")[1]
    assert area["low"] < 0 < area["high"]
    assert area["p"] == 1.0


def test_errors_are_compared_by_a_paired_t_test() -> None:
    random = np.random.default_rng(0)
    y = random.normal(size=200)
    first, other = y + 0.5 * random.normal(size=200), y + 0.7 * random.normal(size=200)
    mae, mse = compare([first, other], ["a", "b"], y, task="regression")
    expected = ttest_rel(np.abs(first - y), np.abs(other - y))
    assert mae["p"] == pytest.approx(expected.pvalue)
    assert mae["low"] < mae["difference"] < mae["high"] < 0
    assert mse["metric"] == "mse"


def test_groups_are_compared_by_their_sums() -> None:
    good, bad, y = _models()
    p, q, targets = (np.repeat(values, 4) for values in (good, bad, y))
    rows = compare([p, q], ["a", "b"], targets, task="binary")
    grouped = compare(
        [p, q], ["a", "b"], targets, task="binary", sampling=Sampling(groups=np.repeat(np.arange(300), 4))
    )
    for single, other in zip(rows, grouped, strict=True):
        assert other["difference"] == single["difference"]
        assert (other["high"] - other["low"]) / (single["high"] - single["low"]) == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("num_groups", [1, 2])
def test_one_or_two_groups_prove_little(num_groups: int) -> None:
    good, bad, y = _models()
    groups = np.arange(300) % num_groups
    for comparison in compare([good, bad], ["a", "b"], y, task="binary", sampling=Sampling(groups=groups)):
        assert comparison["p"] > 1e-3
        assert ("by group" in comparison["method"]) is (num_groups == 2)
        if num_groups == 1:
            assert (comparison["low"], comparison["high"], comparison["method"]) == (-1.0, 1.0, "none (one group)")
    (mae, _) = compare([good, bad], ["a", "b"], y, task="regression", sampling=Sampling(groups=np.zeros(300, int)))
    assert (mae["low"], mae["high"], mae["p"], mae["method"]) == (None, None, 1.0, "none (one group)")
