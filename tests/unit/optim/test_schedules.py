from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from holdfast.core.errors import InputError
from holdfast.optim import schedules

TOTAL, PER_EPOCH = 12, 3


def factors(schedule: Any, **arguments: Any) -> list[float]:
    """The factor of the rate in every step of four epochs, moved as Lightning moves it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    answer = schedule(optimizer, total_steps=TOTAL, steps_per_epoch=PER_EPOCH, **arguments)
    found = []
    for step in range(1, TOTAL + 1):
        found.append(optimizer.param_groups[0]["lr"] / 2.0)
        optimizer.step()
        if answer["interval"] == "step" or step % PER_EPOCH == 0:
            answer["scheduler"].step()
    return found


def half_cosine(step: int, start: int, final: float = 0.0) -> float:
    return final + (1 - final) * (1 + math.cos(math.pi * (step - start) / (TOTAL - start))) / 2


TABLE = [
    (schedules.constant, {}, [1.0] * 12),
    (schedules.step, {"factor": 0.5, "every_epochs": 1}, [1.0] * 3 + [0.5] * 3 + [0.25] * 3 + [0.125] * 3),
    (schedules.step, {"factor": 0.1, "every_epochs": 2}, [1.0] * 6 + [0.1] * 6),
    (schedules.step, {"every_epochs": 5}, [1.0] * 12),
    (schedules.cosine, {}, [half_cosine(step, 0) for step in range(12)]),
    (schedules.cosine, {"final_factor": 0.1}, [half_cosine(step, 0, 0.1) for step in range(12)]),
    (schedules.cosine, {"warmup_steps": 3}, [0.25, 0.5, 0.75, *(half_cosine(step, 3) for step in range(3, 12))]),
    (schedules.cosine, {"warmup_epochs": 1}, [0.25, 0.5, 0.75, *(half_cosine(step, 3) for step in range(3, 12))]),
    (schedules.cosine, {"warmup_fraction": 0.25}, [0.25, 0.5, 0.75, *(half_cosine(step, 3) for step in range(3, 12))]),
    (schedules.cosine, {"warmup_epochs": 1 / 3}, [0.5, *(half_cosine(step, 1) for step in range(1, 12))]),
]


@pytest.mark.parametrize(("schedule", "arguments", "expected"), TABLE)
def test_factors(schedule: Any, arguments: dict[str, Any], expected: list[float]) -> None:
    assert factors(schedule, **arguments) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", [schedules.constant, schedules.step, schedules.cosine])
def test_states_go_on(schedule: Any) -> None:
    def build() -> Any:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        return schedule(optimizer, total_steps=TOTAL, steps_per_epoch=PER_EPOCH)["scheduler"], optimizer

    (first, first_optimizer), (second, second_optimizer) = build(), build()
    for _ in range(5):
        first_optimizer.step()
        first.step()
    second.load_state_dict(first.state_dict())
    second_optimizer.load_state_dict(first_optimizer.state_dict())
    for scheduler, optimizer in ((first, first_optimizer), (second, second_optimizer)):
        optimizer.step()
        scheduler.step()
    assert first.get_last_lr() == second.get_last_lr()


@pytest.mark.parametrize(
    ("schedule", "arguments", "message"),
    [
        (schedules.step, {"factor": 0.0}, "schedule.factor: is 0.0; allowed: 0 < factor <= 1"),
        (schedules.step, {"every_epochs": 0}, "schedule.every_epochs: is 0; allowed: whole numbers from 1"),
        (schedules.cosine, {"final_factor": -0.1}, "schedule.final_factor: is -0.1; allowed: 0 <= final_factor <= 1"),
        (
            schedules.cosine,
            {"warmup_steps": 2, "warmup_epochs": 1},
            "schedule: warmup_epochs and warmup_steps are given together; allowed: one of the three units",
        ),
        (
            schedules.cosine,
            {"warmup_epochs": 4},
            "schedule.warmup_epochs: is 4, that is 12 steps; allowed: 0 to 11 steps",
        ),
        (
            schedules.cosine,
            {"warmup_steps": -1},
            "schedule.warmup_steps: is -1, that is -1 steps; allowed: 0 to 11 steps",
        ),
    ],
)
def test_wrong_arguments(schedule: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        factors(schedule, **arguments)
    assert str(caught.value) == message
