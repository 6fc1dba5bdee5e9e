from __future__ import annotations

import math

import pytest

from holdfast.core.figures import digits, figure


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.08714, "0.0871"),
        (0.0, "0.0000"),
        (-0.5, "-0.5000"),
        (999.9, "999.9000"),
        (15864.4795, "15,864.5"),
        (-1234567.0, "-1,234,567.0"),
        (3.2e-6, "3.20e-06"),
        (6e-5, "0.0001"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_a_metric_has_the_digits_that_count(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (412789.4, "412789"),
        (9999.7, "10000"),
        (-18628.3, "-18628"),
        (0.50123, "0.5012"),
        (1.25e-6, "1.25e-06"),
        (1e20, "1e+20"),
    ],
)
def test_large_numbers_are_whole_and_without_a_power_of_ten(value: float, text: str) -> None:
    assert digits(value) == text
    assert digits(abs(value), sign="+").startswith("+")
