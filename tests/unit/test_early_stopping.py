from __future__ import annotations

from typing import Any

import pytest

from holdfast.core.errors import InputError
from holdfast.early_stopping import patience

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "mode", "arguments", "stops"),
    [
        ([], "min", {"num_epochs": 1}, False),
        ([3, 2, 1], "min", {"num_epochs": 1}, False),
        ([3, 2, 2], "min", {"num_epochs": 1}, True),
        ([3, 2, 4, 5], "min", {"num_epochs": 3}, False),
        ([3, 2, 4, 5, 2], "min", {"num_epochs": 3}, True),
        ([1, 2, 3], "max", {"num_epochs": 2}, False),
        ([3, 2, 1], "max", {"num_epochs": 2}, True),
        ([1.0, 0.95, 0.91], "min", {"num_epochs": 2, "min_delta": 0.1}, True),
        ([1.0, 0.95, 0.89], "min", {"num_epochs": 2, "min_delta": 0.1}, False),
        ([1, NAN, NAN], "max", {"num_epochs": 2}, True),
    ],
)
def test_when_it_stops(values: list[float], mode: Any, arguments: dict[str, Any], stops: bool) -> None:
    is_over, reason = patience(values, mode=mode, **arguments)
    assert is_over == stops
    assert bool(reason) == stops


def test_the_reason_names_the_best() -> None:
    _, reason = patience([0.5, 0.9, 0.8, 0.7], mode="max", num_epochs=2)
    assert reason == "no improvement by more than 0 on 0.9 of epoch 2 in 2 epochs"


@pytest.mark.parametrize(("name", "value"), [("num_epochs", 0), ("min_delta", -1.0)])
def test_wrong_arguments(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"early_stopping\.{name}: is {value}"):
        patience([], mode="min", **{name: value})


@pytest.mark.parametrize(("mode", "values"), [("min", [1.0, 0.5, 3.1]), ("max", [3.5, 4.0, 2.9])])
def test_a_value_that_diverged_stops_at_once(mode: str, values: list[float]) -> None:
    is_over, reason = patience(values, mode=mode, divergence=3.0)
    assert is_over
    assert reason == f"diverged: {values[-1]:g} in epoch 3 is worse than 3"
    assert patience(values[:2], mode=mode, divergence=3.0) == (False, "")


def test_divergence_is_a_number() -> None:
    with pytest.raises(InputError, match=r"early_stopping\.divergence: is nan"):
        patience([], mode="min", divergence=float("nan"))
