from __future__ import annotations

from typing import Any

import pytest
import torch

from contracts.options import build, options
from holdfast.testing import check_optimizer


@pytest.mark.parametrize("name", options("optimizer"))
def test_every_optimizer(name: str) -> None:
    check_optimizer(build("optimizer", name))


class Wrong(torch.optim.Optimizer):
    """Gradient descent with one mistake."""

    def __init__(self, params: Any, mistake: str) -> None:
        super().__init__(params, {"lr": 0.01} if mistake != "no rate" else {})
        self.mistake = mistake
        self.num_steps = 0

    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = closure()
        self.num_steps += 1
        with torch.no_grad():
            for group in self.param_groups:
                lr = group.get("lr", 0.01) if self.mistake != "own rate" else 0.01
                lr = -lr if self.mistake == "ascent" else lr / (self.num_steps if self.mistake == "hidden state" else 1)
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.sub_(lr * parameter.grad)
                    elif self.mistake == "no gradient":
                        parameter.mul_(0.9)
        return loss if self.mistake != "no loss" else None


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("ascent", "must lower the loss"),
        ("no loss", "must give the loss of the closure"),
        ("no rate", "must have its rate"),
        ("own rate", "with a rate of almost 0"),
        ("no gradient", "without a gradient"),
        ("hidden state", "must go on as that one does"),
    ],
)
def test_mistakes_are_found(mistake: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_optimizer(lambda params: Wrong(params, mistake))
