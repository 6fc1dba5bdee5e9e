from __future__ import annotations

from functools import partial

import pytest

from holdfast import schedules
from holdfast.core.errors import InputError
from holdfast.schedules.preview import plot, preview


def test_rates_of_every_step_and_epoch() -> None:
    schedule = partial(schedules.step, every_epochs=1, warmup="1step", momentum=[0.5, 0.9])
    drawn = preview(schedule, lr=0.8, momentum=0.9, max_epochs=3, steps_per_epoch=2)
    assert drawn.rates == [0.4, 0.8, 0.4, 0.4, 0.2, 0.2]
    expected = [(1, 0.4, 0.8, 0.5), (2, 0.4, 0.4, 0.7), (3, 0.2, 0.2, 0.9)]
    assert [tuple(epoch.values()) for epoch in drawn.epochs] == expected


def test_the_first_rate_and_no_momentum() -> None:
    drawn = preview(schedules.linear, lr=1.0, momentum=0.9, max_epochs=2, steps_per_epoch=2)
    assert drawn.rates == [1.0, 0.75, 0.5, 0.25]
    assert [epoch["momentum"] for epoch in drawn.epochs] == [None, None]


def test_plateau_cannot_be_drawn() -> None:
    with pytest.raises(InputError, match="goes by a val metric"):
        preview(
            partial(schedules.plateau, monitor="val/loss", mode="min"),
            lr=1.0,
            momentum=0.0,
            max_epochs=2,
            steps_per_epoch=2,
        )


def test_plot() -> None:
    assert plot([1.0, 0.75, 0.5, 0.0], height=2) == [
        "        1 |█▄  ",
        "      0.5 |███ ",
        "          +----",
    ]
    assert len(plot([1.0] * 1000)[0]) == 11 + 72
