from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from holdfast.evaluation.opening.result import Opened, quotable

OPENED = Opened("9c" * 32, "3f" * 16, 1, 10_000, {}, "71" * 32, replayed=False)
PLACE = "vault 3f3f3f3f, selection 9c9c9c9c, head 71717171"
ACCURACY = {"value": 0.942, "low": 0.93724, "high": 0.94642, "method": "wilson"}
RMSE = {"value": 1.2345678, "low": 1.1, "high": 1.4, "method": "BCa bootstrap"}


@pytest.mark.parametrize(
    ("metrics", "more", "line"),
    [
        (
            {"loss": RMSE, "accuracy": ACCURACY},
            {},
            "accuracy 94.20 % [93.72, 94.64] Wilson 95 %, n = 10,000, opening 1 of 1",
        ),
        (
            {"loss": RMSE, "rmse": RMSE},
            {},
            "rmse 1.2346 [1.1000, 1.4000] BCa bootstrap 95 %, n = 10,000, opening 1 of 1",
        ),
        (
            {"accuracy": ACCURACY},
            {"confidence": 0.9875, "opening": 3},
            "accuracy 94.20 % [93.72, 94.64] Wilson 98.75 %, n = 10,000, opening 3 of 3",
        ),
        (
            {"loss": RMSE},
            {"opening": 2, "level": "primary"},
            "loss 1.2346 [1.1000, 1.4000] BCa bootstrap 95 %, n = 10,000, opening 2; not a clean test",
        ),
        ({"accuracy": {**ACCURACY, "value": None}}, {}, "accuracy undefined, n = 10,000, opening 1 of 1"),
        (
            {},
            {"criterion": {"criterion": "accuracy > 0.94", "passed": True}, "opening": 3, "wear": {"bits_before": 2.0}},
            "of accuracy > 0.94: passed, n = 10,000, answer 3 of its vault, 2 bits told before",
        ),
        (
            {"accuracy": {**ACCURACY, "value": None}},
            {"former": [{"vault": "ab" * 16, "openings": 2}, {"vault": "cd" * 16, "openings": None}]},
            "accuracy undefined, n = 10,000, opening 1; not a clean test, rows of former vault abababab, which was "
            "opened 2 times, rows of former vault cdcdcdcd, which may have been opened",
        ),
        (
            {"accuracy": {**ACCURACY, "value": None}},
            {"former": [{"vault": "ab" * 16, "openings": 0}]},
            "accuracy undefined, n = 10,000, opening 1 of 1, rows of former vault abababab, which was never opened",
        ),
    ],
)
def test_the_line_to_quote(metrics: dict[str, Any], more: dict[str, Any], line: str) -> None:
    assert quotable(replace(OPENED, metrics=metrics, **more)) == f"test {line}, {PLACE}"
