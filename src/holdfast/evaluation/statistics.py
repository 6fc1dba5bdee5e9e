"""Intervals for the numbers of the one evaluation: how far another test sample could have moved them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

CONFIDENCE = 0.95


def with_intervals(metrics: Mapping[str, float], num_rows: int) -> dict[str, dict[str, Any]]:
    """Every metric as {"value", "low", "high", "method"}; "none" where no interval is given.

    A value that is not defined on these rows (AUROC of one class) is null.
    """
    return {name: _interval(name, value, num_rows) for name, value in metrics.items()}


def wilson(num_right: int, num_rows: int) -> tuple[float, float]:
    """The score interval of a proportion at 95 % (Wilson 1927), by scipy."""
    from scipy.stats import binomtest

    interval = binomtest(num_right, num_rows).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def _interval(name: str, value: float, num_rows: int) -> dict[str, Any]:
    if not math.isfinite(value):
        return {"value": None, "low": None, "high": None, "method": "none"}
    if name != "accuracy":
        return {"value": value, "low": None, "high": None, "method": "none"}
    num_right = round(value * num_rows)
    low, high = wilson(num_right, num_rows)
    return {"value": num_right / num_rows, "low": low, "high": high, "method": "wilson"}
