from __future__ import annotations

import importlib.util
import inspect
import itertools
from functools import partial

import pytest
import torch
from torch import nn

from contracts.options import build, options
from holdfast.core.errors import InputError
from holdfast.testing import check_model

SHAPES = {
    "a table of numbers": {"input_shape": (6,)},
    "a table with categories": {"input_shape": (6,), "category_sizes": (3, 5)},
    "images": {"input_shape": (3, 16, 16)},
}
EXTRAS = {"timm": "timm"}


@pytest.mark.parametrize("name", options("model"))
def test_every_model(name: str) -> None:
    if name in EXTRAS and importlib.util.find_spec(EXTRAS[name]) is None:
        with pytest.raises(InputError, match=EXTRAS[name]):
            build("model", name)(num_outputs=3, **SHAPES["images"])
        return
    model, taken = build("model", name), []
    for kind, shape in SHAPES.items():
        if "category_sizes" in shape and "category_sizes" not in inspect.signature(model).parameters:
            continue
        for num_outputs in (1, 3):
            try:
                check_model(model, num_outputs=num_outputs, **shape)
            except InputError:  # it says that it does not take such rows
                continue
            taken.append(kind)
    assert taken, "a model must take some kind of rows"


COUNTER = itertools.count()


class Wrong(nn.Module):
    """A model with one mistake."""

    def __init__(self, mistake: str, input_shape: tuple[int], num_outputs: int) -> None:
        super().__init__()
        self.mistake, self.number = mistake, next(COUNTER)
        self.linear = nn.Linear(*input_shape, num_outputs + (mistake == "shape"))
        self.linear.requires_grad_(mistake != "learning")
        self.offset = nn.Parameter(torch.zeros(()))
        if mistake == "seed":
            nn.init.constant_(self.linear.bias, self.number)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.mistake == "batch":
            x = x - x.mean(dim=0)
        outputs = self.linear(x) + 0.0 * self.offset
        return outputs + self.number if self.mistake == "state" else outputs


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("shape", r"outputs have the shape \(16, 4\)"),
        ("batch", "must not depend on the other rows"),
        ("seed", "with the same seed"),
        ("learning", "must lower the loss"),
        ("state", "must give the same outputs"),
    ],
)
def test_mistakes_are_found(mistake: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_model(partial(Wrong, mistake), input_shape=(6,), num_outputs=3)
