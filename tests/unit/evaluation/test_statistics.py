from __future__ import annotations

import math

import pytest

from holdfast.evaluation.statistics import wilson, with_intervals

Z = 1.959963984540054


def _closed_form(num_right: int, num_rows: int) -> tuple[float, float]:
    """Wilson 1927, as Agresti and Coull 1998 write it."""
    p, z2 = num_right / num_rows, Z**2
    centre = (p + z2 / (2 * num_rows)) / (1 + z2 / num_rows)
    half = Z * math.sqrt(p * (1 - p) / num_rows + z2 / (4 * num_rows**2)) / (1 + z2 / num_rows)
    return centre - half, centre + half


@pytest.mark.parametrize(("num_right", "num_rows"), [(9420, 10_000), (351, 359), (1, 2), (50, 100)])
def test_wilson_is_the_closed_form(num_right: int, num_rows: int) -> None:
    assert wilson(num_right, num_rows) == pytest.approx(_closed_form(num_right, num_rows), abs=1e-12)


def test_the_line_that_reports_quote() -> None:
    low, high = wilson(9420, 10_000)
    assert (round(100 * low, 2), round(100 * high, 2)) == (93.72, 94.64)


@pytest.mark.parametrize(
    ("num_right", "num_rows", "low", "high"),
    [(0, 1, 0, 0.7935), (1, 1, 0.2065, 1), (0, 100, 0, 0.0370), (100, 100, 0.9630, 1)],
)
def test_extreme_counts_have_finite_intervals(num_right: int, num_rows: int, low: float, high: float) -> None:
    assert wilson(num_right, num_rows) == pytest.approx((low, high), abs=5e-5)


def test_only_accuracy_has_an_interval() -> None:
    answer = with_intervals({"accuracy": 0.9, "auroc_macro": math.nan, "rmse": 2.0}, 10)
    assert answer["accuracy"]["value"] == 0.9
    assert answer["accuracy"]["method"] == "wilson"
    assert answer["auroc_macro"] == {"value": None, "low": None, "high": None, "method": "none"}
    assert answer["rmse"] == {"value": 2.0, "low": None, "high": None, "method": "none"}
