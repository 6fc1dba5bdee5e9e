"""The contract of schedules."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import SGD, Optimizer

from holdfast.testing.models import reloaded

NUM_EPOCHS, STEPS_PER_EPOCH = 6, 4
Groups = list[tuple[float, float]]


def check_schedule(schedule: Callable[..., dict[str, Any]]) -> None:
    """Check that a schedule gives Lightning's dictionary, scales all groups alike, and goes on from its state.

    One that names `monitor` and `mode` is handed them.
    """
    _check_dictionary(schedule)
    _check_rates(schedule)
    _check_state(schedule)


def _built(schedule: Callable[..., dict[str, Any]]) -> tuple[dict[str, Any], Optimizer]:
    groups: list[dict[str, Any]] = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (1.0, 0.1)]
    optimizer = SGD(groups, lr=1.0, momentum=0.9)
    named = inspect.signature(schedule).parameters
    supplied = {name: value for name, value in (("monitor", "val/loss"), ("mode", "min")) if name in named}
    total_steps = NUM_EPOCHS * STEPS_PER_EPOCH
    return schedule(optimizer, total_steps=total_steps, steps_per_epoch=STEPS_PER_EPOCH, **supplied), optimizer


def _moved(answer: dict[str, Any], optimizer: Optimizer, first_epoch: int, last_epoch: int) -> list[Groups]:
    """Rate and momentum of both groups in every step of some epochs, moved as Lightning moves them.

    Where it is monitored, val/loss stays at 1.
    """
    course: list[Groups] = []
    for _ in range(first_epoch, last_epoch):
        for _step in range(STEPS_PER_EPOCH):
            course.append([(float(group["lr"]), float(group["momentum"])) for group in optimizer.param_groups])
            optimizer.step()
            if answer["interval"] == "step":
                answer["scheduler"].step()
        if answer["interval"] == "epoch":
            answer["scheduler"].step(*([1.0] if "monitor" in answer else []))
    return course


def _check_dictionary(schedule: Callable[..., dict[str, Any]]) -> None:
    answer, _ = _built(schedule)
    assert {"scheduler", "interval"} <= answer.keys(), f"the keys must have scheduler and interval: {sorted(answer)}"
    assert answer["interval"] in ("step", "epoch"), f"interval is {answer['interval']!r}, and must be step or epoch"
    assert answer.get("frequency", 1) == 1, "frequency must be 1: a schedule counts its own steps"
    if "monitor" in answer:
        assert answer["monitor"] == "val/loss", "the monitor must be that of the run, which is handed over"
        assert answer["interval"] == "epoch", "what is monitored is known once an epoch"


def _check_rates(schedule: Callable[..., dict[str, Any]]) -> None:
    course = _moved(*_built(schedule), 0, NUM_EPOCHS)
    rates = [[lr for lr, _ in groups] for groups in course]
    assert all(math.isfinite(rate) and rate >= 0.0 for pair in rates for rate in pair), "rates must be finite, from 0"
    assert any(rate > 0.0 for rate, _ in rates), "some step must have a rate above 0"
    assert all(math.isclose(first, 10.0 * second) for first, second in rates), "all groups must be scaled alike"
    assert course == _moved(*_built(schedule), 0, NUM_EPOCHS), "the same schedule must give the same rates again"


def _check_state(schedule: Callable[..., dict[str, Any]]) -> None:
    cut = NUM_EPOCHS // 2
    whole = _moved(*_built(schedule), 0, NUM_EPOCHS)
    answer, optimizer = _built(schedule)
    _moved(answer, optimizer, 0, cut)
    of_scheduler, of_optimizer = reloaded((answer["scheduler"].state_dict(), optimizer.state_dict()))
    answer, optimizer = _built(schedule)
    answer["scheduler"].load_state_dict(of_scheduler)
    optimizer.load_state_dict(of_optimizer)
    rest = _moved(answer, optimizer, cut, NUM_EPOCHS)
    expected = whole[cut * STEPS_PER_EPOCH :]
    assert rest == expected, "a schedule with the state of another one must go on as that one does"
