from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.optim import SGD, lr_scheduler

from holdfast import schedules
from holdfast.config.groups import CONF
from holdfast.core.errors import InputError
from holdfast.schedules import plateau
from holdfast.schedules.curves import warmup_steps

TOTAL, PER_EPOCH = 12, 3


def course(schedule: Any, optimizer: Any = None, **arguments: Any) -> list[dict[str, float]]:
    """Rate (as a factor) and momentum of every step of four epochs, moved as Lightning moves them."""
    optimizer = optimizer or SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    answer = schedule(optimizer, total_steps=TOTAL, steps_per_epoch=PER_EPOCH, **arguments)
    rows = []
    for step in range(1, TOTAL + 1):
        group = optimizer.param_groups[0]
        rows.append({"factor": group["lr"] / 2.0, "momentum": group["momentum"]})
        optimizer.step()
        if answer["interval"] == "step" or step % PER_EPOCH == 0:
            answer["scheduler"].step()
    return rows


def factors(schedule: Any, **arguments: Any) -> list[float]:
    return [row["factor"] for row in course(schedule, **arguments)]


def per_epoch(*values: float) -> list[float]:
    """Each for the three steps of an epoch."""
    return [value for value in values for _ in range(PER_EPOCH)]


def half_cosine(step: int, start: int, final: float = 0.0) -> float:
    return final + (1 - final) * (1 + math.cos(math.pi * (step - start) / (TOTAL - start))) / 2


TABLE = [
    (schedules.constant, {}, [1.0] * 12),
    (schedules.step, {"factor": 0.5, "every_epochs": 1}, [1.0] * 3 + [0.5] * 3 + [0.25] * 3 + [0.125] * 3),
    (schedules.step, {"factor": 0.1, "every_epochs": 2}, [1.0] * 6 + [0.1] * 6),
    (schedules.step, {"every_epochs": 5}, [1.0] * 12),
    (schedules.cosine, {}, [half_cosine(step, 0) for step in range(12)]),
    (schedules.cosine, {"final_factor": 0.1}, [half_cosine(step, 0, 0.1) for step in range(12)]),
    (schedules.cosine, {"warmup": "3steps"}, [0.25, 0.5, 0.75, *(half_cosine(step, 3) for step in range(3, 12))]),
    (schedules.cosine, {"warmup": "1epochs"}, [0.25, 0.5, 0.75, *(half_cosine(step, 3) for step in range(3, 12))]),
    (schedules.cosine, {"warmup": 0.25}, [0.25, 0.5, 0.75, *(half_cosine(step, 3) for step in range(3, 12))]),
    (schedules.cosine, {"warmup": "0.34epochs"}, [0.5, *(half_cosine(step, 1) for step in range(1, 12))]),
    (schedules.multistep, {"epochs": [1, 3], "factor": 0.1}, per_epoch(1, 0.1, 0.1, 0.01)),
    (schedules.multistep, {"epochs": []}, [1.0] * 12),
    (schedules.exponential, {"k": 0.3}, per_epoch(*(math.exp(-0.3 * t) for t in range(4)))),
    (schedules.exponential, {"k": 0.3, "unit": "step"}, [math.exp(-0.3 * t) for t in range(12)]),
    (schedules.geometric, {"base": 0.9}, per_epoch(0.9, 0.81, 0.729, 0.6561)),
    # TUM's own table: decay rate 1 from 0.1 gives 0.1, 0.05, 0.033, 0.025
    (schedules.inverse_time, {"k": 1.0}, per_epoch(1, 1 / 2, 1 / 3, 1 / 4)),
    (schedules.inverse_time, {"k": 0.5, "unit": "step"}, [1 / (1 + 0.5 * t) for t in range(12)]),
    (schedules.inverse_sqrt, {}, per_epoch(1, 1 / math.sqrt(2), 1 / math.sqrt(3), 1 / 2)),
    (schedules.inverse_sqrt, {"scale": 0.5}, per_epoch(0.5, 0.5 / math.sqrt(2), 0.5 / math.sqrt(3), 1 / 4)),
    (schedules.linear, {}, [1 - t / 12 for t in range(12)]),
    (
        schedules.linear,
        {"final_factor": 0.1, "warmup": "2steps"},
        [1 / 3, 2 / 3, *(1 - 0.9 * t / 10 for t in range(10))],
    ),
    (schedules.wsd, {"decay_fraction": 0.25}, [1.0] * 9 + [1, 2 / 3, 1 / 3]),
    (
        schedules.wsd,
        {"decay_fraction": 1 / 3, "warmup": "1steps", "final_factor": 0.1, "shape": "sqrt"},
        [0.5] + [1.0] * 7 + [1 - 0.9 * math.sqrt(p / 4) for p in range(4)],
    ),
    (
        schedules.cosine_restarts,
        {"first_cycle_epochs": 1, "cycle_multiplier": 2},
        [(1 + math.cos(math.pi * t / n)) / 2 for n in (3, 6, 12) for t in range(n)][:12],
    ),
    # warm-up in front of a schedule by the epoch: a ramp on it, epochs as they are
    (schedules.constant, {"warmup": "3steps"}, [0.25, 0.5, 0.75] + [1.0] * 9),
    (schedules.step, {"every_epochs": 1, "warmup": "1epochs"}, [0.25, 0.5, 0.75] + per_epoch(0.5, 0.25, 0.125)),
    (schedules.multistep, {"epochs": [2], "warmup": "4steps"}, [0.2, 0.4, 0.6, 0.8, 1, 1] + [0.1] * 6),
    (schedules.geometric, {"base": 0.5, "warmup": "1steps"}, [0.25, 0.5, 0.5] + per_epoch(0.25, 0.125, 0.0625)),
    (schedules.exponential, {"k": 1.0, "unit": "step", "warmup": "1steps"}, [0.5, *(math.exp(-t) for t in range(11))]),
]
OTHERS = {"one_cycle", "plateau"}  # against torch's own, below


@pytest.mark.parametrize(("schedule", "arguments", "expected"), TABLE)
def test_factors(schedule: Any, arguments: dict[str, Any], expected: list[float]) -> None:
    assert factors(schedule, **arguments) == pytest.approx(expected, abs=1e-12)


def test_every_option_has_its_table() -> None:
    options = {path.stem for path in (CONF / "schedule").glob("*.yaml")}
    assert {schedule.__name__ for schedule, _, _ in TABLE} | OTHERS == options


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_one_cycle_is_torchs() -> None:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    theirs = lr_scheduler.OneCycleLR(optimizer, max_lr=2.0, total_steps=TOTAL, cycle_momentum=False)
    expected = [2.0 * 0.04]
    for _ in range(TOTAL - 1):
        theirs.step()
        expected.append(optimizer.param_groups[0]["lr"])
    assert factors(schedules.one_cycle) == pytest.approx([rate / 2.0 for rate in expected], abs=1e-12)


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("multiplier", [1, 2])
def test_restarts_are_torchs(multiplier: int) -> None:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    theirs = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=3, T_mult=multiplier, eta_min=0.2)
    expected = []
    for _ in range(TOTAL):
        expected.append(optimizer.param_groups[0]["lr"] / 2.0)
        theirs.step()
    values = factors(schedules.cosine_restarts, first_cycle_epochs=1, cycle_multiplier=multiplier, final_factor=0.1)
    assert values == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("min", [1.0, 0.9, 0.95, 0.9, 0.9, 0.8, 0.8], [1, 1, 1, 1, 1, 0.5, 0.5, 0.5]),
        ("max", [0.5, 0.5, 0.5, 0.5, 0.6, float("nan"), 0.6, 0.6], [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]),
    ],
)
def test_plateau(mode: Any, values: list[float], expected: list[float]) -> None:
    """More than two epochs in a row that do not beat the best: half the rate from the next epoch on."""
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    answer = plateau(optimizer, total_steps=12, steps_per_epoch=3, monitor="val/x", mode=mode, factor=0.5, patience=2)
    assert answer["monitor"] == "val/x"
    reached = [1.0]
    for value in values:
        answer["scheduler"].step(value)
        reached.append(optimizer.param_groups[0]["lr"] / 2.0)
    assert reached == expected


def with_momentum() -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0, momentum=0.9)


@pytest.mark.parametrize(("schedule", "arguments", "expected"), TABLE)
def test_momentum_rises_by_the_epoch(schedule: Any, arguments: dict[str, Any], expected: list[float]) -> None:
    rows = course(schedule, with_momentum(), momentum=[0.5, 0.98], **arguments)
    assert [row["momentum"] for row in rows] == pytest.approx(per_epoch(0.5, 0.66, 0.82, 0.98), abs=1e-12)
    assert [row["factor"] for row in rows] == pytest.approx(expected, abs=1e-12)


def test_momentum_of_an_optimizer_without_one() -> None:
    for optimizer in (SGD, torch.optim.AdamW):
        with pytest.raises(
            InputError, match=rf"schedule\.momentum: is \[0\.5, 0\.99\], but the .* \({optimizer.__name__}\)"
        ):
            course(schedules.constant, optimizer([torch.nn.Parameter(torch.zeros(1))]), momentum=[0.5, 0.99])


@pytest.mark.parametrize(
    ("schedule", "arguments", "message"),
    [
        (schedules.step, {"factor": 0.0}, "schedule.factor: is 0.0; allowed: 0 < factor <= 1"),
        (schedules.step, {"every_epochs": 0}, "schedule.every_epochs: is 0; allowed: whole numbers from 1"),
        (schedules.cosine, {"final_factor": -0.1}, "schedule.final_factor: is -0.1; allowed: 0 <= final_factor <= 1"),
        (schedules.multistep, {"epochs": [3, 2]}, "schedule.epochs: is [3, 2]; allowed: rising whole numbers from 1"),
        (schedules.multistep, {"epochs": [0]}, "schedule.epochs: is [0]; allowed: rising whole numbers from 1"),
        (schedules.exponential, {"k": -0.1}, "schedule.k: is -0.1; allowed: k >= 0"),
        (schedules.inverse_time, {"k": math.nan}, "schedule.k: is nan; allowed: k >= 0"),
        (schedules.geometric, {"base": 1.1}, "schedule.base: is 1.1; allowed: 0 < base <= 1"),
        (schedules.inverse_sqrt, {"scale": 0.0}, "schedule.scale: is 0.0; allowed: scale > 0"),
        (schedules.linear, {"final_factor": 2.0}, "schedule.final_factor: is 2.0; allowed: 0 <= final_factor <= 1"),
        (
            schedules.cosine_restarts,
            {"first_cycle_epochs": 0.1},
            "schedule.first_cycle_epochs: is 0.1; allowed: at least one step",
        ),
        (
            schedules.cosine_restarts,
            {"cycle_multiplier": 0},
            "schedule.cycle_multiplier: is 0; allowed: whole numbers from 1",
        ),
        (
            schedules.one_cycle,
            {"rise_fraction": 0.05},
            "schedule.rise_fraction: is 0.05, of 12 steps; allowed: a rise of more than one step, and not all of them",
        ),
        (
            schedules.wsd,
            {"decay_fraction": 0.75, "warmup": "4steps"},
            "schedule.decay_fraction: is 0.75, that is 9 steps after 4 of warm-up; allowed: at most 12 steps together",
        ),
        (
            schedules.constant,
            {"momentum": [0.5, 1.0]},
            "schedule.momentum: is [0.5, 1.0]; allowed: two numbers, 0 < momentum < 1",
        ),
        (
            plateau,
            {"monitor": "val/loss", "mode": "min", "factor": 1.0},
            "schedule.factor: is 1.0; allowed: 0 < factor < 1",
        ),
        (
            plateau,
            {"monitor": "val/loss", "mode": "min", "patience": -1},
            "schedule.patience: is -1; allowed: patience >= 0",
        ),
    ],
)
def test_wrong_arguments(schedule: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        factors(schedule, **arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("warmup", "expected"),
    [
        ("5epochs", 50),
        ("1epoch", 10),
        ("2.5epochs", 25),
        (".5 epochs", 5),
        ("1step", 1),
        ("150steps", 150),
        (None, 0),
        (0, 0),
        (0.1, 20),
    ],
)
def test_a_warm_up_carries_its_unit(warmup: Any, expected: int) -> None:
    assert warmup_steps(warmup, 200, 10) == expected


ALLOWED = "allowed: epochs as in 5epochs, steps as in 500steps, a share of the training as in 0.1, or null"


@pytest.mark.parametrize(
    ("warmup", "message"),
    [
        *(
            (
                wrong,
                f"is {wrong}; allowed: epochs as in 5epochs, steps as in 500steps, a share of the training as in 0.1",
            )
            for wrong in ("5", "epochs", "5hours", "-1steps", "1e3steps", "", -0.1, math.nan)
        ),
        (5, "or null; next: did you mean '5epochs' or '5steps'?"),
        (1.0, "or null; next: did you mean '1.0epochs' or '1.0steps'?"),
        ("20epochs", "is 20epochs, that is 200 steps; allowed: fewer than the 200 steps of the training"),
        (0.999, "is 0.999, that is 200 steps; allowed: fewer than the 200 steps of the training"),
    ],
)
def test_wrong_warm_ups(warmup: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        warmup_steps(warmup, 200, 10)
    assert str(caught.value).startswith("schedule.warmup: ")
    assert message in str(caught.value)
