from __future__ import annotations

from typing import Any

import pytest
from torch.nn import functional

from contracts.options import build, options
from holdfast.core.errors import InputError
from holdfast.testing import check_loss

TASKS = ("multiclass", "binary", "multilabel", "regression")


@pytest.mark.parametrize("name", options("loss"))
def test_every_loss(name: str) -> None:
    loss, tasks = build("loss", name), []
    for task in TASKS:
        try:
            check_loss(loss, task=task)
        except InputError:  # it says that it does not fit the task
            continue
        tasks.append(task)
    assert tasks, "a loss must fit some task"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda outputs, targets: functional.cross_entropy(outputs, targets, reduction="sum"), "mean over rows"),
        (lambda outputs, targets: functional.cross_entropy(outputs[:1], targets[:1]), "order of rows"),
        (lambda outputs, targets: -functional.cross_entropy(outputs, targets), "must cost less"),
        (lambda outputs, targets: functional.cross_entropy(outputs, targets) / 0.0, "must be finite"),
        (
            lambda outputs, targets: (outputs.argmax(dim=1) != targets).double().mean() + 0.0 * outputs.sum(),
            "a small step",
        ),
    ],
)
def test_mistakes_are_found(function: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_loss(lambda: function, task="multiclass")


def test_a_loss_of_another_task_is_refused() -> None:
    with pytest.raises(InputError, match="does not fit a multiclass task"):
        check_loss(build("loss", "mse"), task="multiclass")
