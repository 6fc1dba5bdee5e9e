"""The contract of rules that stop a run early."""

from __future__ import annotations

import math
from typing import Literal

from holdfast.early_stopping import StoppingRule

NUM_EPOCHS = 200


def check_stopping_rule(rule: StoppingRule) -> None:
    """Check that a rule gives a reason, goes by the history alone, and lets a run go on that gets better."""
    falling = [1000.0 - 5.0 * epoch for epoch in range(NUM_EPOCHS)]
    flat = [1.0] * NUM_EPOCHS
    rising = falling[::-1]
    with_nan = [math.nan, *flat]
    for values in ([], falling, flat, rising, with_nan):
        for length in range(len(values) + 1):
            _check_answer(rule, values[:length], "min")
            _check_answer(rule, [-value for value in values[:length]], "max")
    assert not any(rule(falling[:length], mode="min")[0] for length in range(NUM_EPOCHS)), "a falling loss must go on"
    assert not any(rule(rising[:length], mode="max")[0] for length in range(NUM_EPOCHS)), "a rising score must go on"


def _check_answer(rule: StoppingRule, values: list[float], mode: Literal["min", "max"]) -> None:
    given = list(values)
    stops, reason = rule(values, mode=mode)
    assert isinstance(stops, bool), f"the first answer must be true or false, and is {stops!r}"
    assert isinstance(reason, str), f"the second answer must be the reason, and is {reason!r}"
    assert bool(reason) is stops, "a rule must give a reason where it stops, and an empty one where it does not"
    assert rule(values, mode=mode) == (stops, reason), "a rule must go by the values alone: a resumed run asks it again"
    assert repr(values) == repr(given), "a rule must leave the values as they are"
