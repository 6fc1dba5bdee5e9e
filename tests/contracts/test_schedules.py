from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from contracts.options import build, options
from holdfast.testing import check_schedule


@pytest.mark.parametrize("name", options("schedule"))
@pytest.mark.parametrize(
    "overrides",
    [(), ("schedule.momentum=[0.5,0.9]",), ("schedule.warmup=1epoch", "schedule.momentum=[0.5,0.9]")],
    ids=str,
)
def test_every_schedule(name: str, overrides: tuple[str, ...]) -> None:
    schedule = build("schedule", name)
    known = tuple(word for word in overrides if word.removeprefix("schedule.").partition("=")[0] in schedule.keywords)
    check_schedule(build("schedule", name, *known))


class OneGroup(LRScheduler):
    """Moves the first group only."""

    def get_lr(self) -> list[float]:
        first, second = (group["lr"] for group in self.optimizer.param_groups)
        return [0.5 * first, second]


def wrong(optimizer: Any, *, total_steps: int, steps_per_epoch: int, mistake: str) -> dict[str, Any]:
    """A schedule with one mistake."""
    counter = itertools.count()
    curves: dict[str, Callable[[int], float]] = {
        "negative": lambda step: 1.0 - step,
        "nothing": lambda step: 0.0,
        "hidden state": lambda step: 1.0 / (1 + next(counter) // 2),  # asked once for each of two groups
    }
    scheduler: Any = LambdaLR(optimizer, curves.get(mistake, lambda step: 1.0))
    if mistake == "one group":
        scheduler = OneGroup(optimizer)
    return {"scheduler": scheduler, "interval": "week" if mistake == "interval" else "step"}


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("interval", "interval is 'week'"),
        ("negative", "must be finite, from 0"),
        ("nothing", "must have a rate above 0"),
        ("one group", "must be scaled alike"),
        ("hidden state", "must go on as that one does"),
    ],
)
def test_mistakes_are_found(mistake: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_schedule(partial(wrong, mistake=mistake))
