from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.config.parts import handed_over, is_itself, named


def own_loss(outputs: Any, targets: Any, gamma: float = 2.0) -> None: ...
def loss_factory(gamma: float, beta: float) -> None: ...
def keyword_factory(*, task: str, gamma: float) -> None: ...
def step(images: Any, strength: float = 0.1) -> None: ...
def step_factory(strength: float = 0.1) -> None: ...
def any_names(first: Any, **rest: Any) -> None: ...


class OwnLoss:
    def __init__(self, first: float, second: float) -> None: ...


@pytest.mark.parametrize(
    ("group", "symbol", "given", "expected"),
    [
        ("loss", own_loss, {}, True),
        ("loss", own_loss, {"gamma": 1.0}, True),
        ("loss", loss_factory, {"gamma": 1.0, "beta": 2.0}, False),
        ("loss", loss_factory, {"gamma": 1.0}, False),
        ("loss", keyword_factory, {}, False),
        ("loss", OwnLoss, {}, False),
        ("augment", step, {}, True),
        ("augment", step_factory, {}, False),
        ("model", own_loss, {}, False),
    ],
)
def test_a_function_that_needs_what_a_call_has_is_the_part(
    group: str, symbol: Callable[..., Any], given: dict[str, Any], expected: bool
) -> None:
    assert is_itself(group, symbol, given) is expected


def test_the_first_arguments_are_ours_whatever_their_names() -> None:
    assert {"outputs", "targets"} < handed_over("loss", own_loss, {})
    assert "gamma" not in handed_over("loss", loss_factory, {"beta": 1.0})
    assert {"first", "total_steps"} < handed_over("schedule", any_names, {})
    assert "strength" not in handed_over("augment", step_factory, {})


def test_a_part_is_handed_what_it_names() -> None:
    offered = {"gamma": 1, "task": "binary"}
    assert named(own_loss, offered) == {"gamma": 1}
    assert named(keyword_factory, offered) == offered
    assert named(any_names, offered) == offered
