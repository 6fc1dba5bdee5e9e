from __future__ import annotations

import math

import pytest

from holdfast.core.figures import figure


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
