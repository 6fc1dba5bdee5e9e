"""Schedules: how the learning rate, and where asked for the momentum, moves.

Every option is called `schedule(optimizer, *, total_steps, steps_per_epoch)` and gives Lightning's scheduler
dictionary; `holdfast.schedules.curves.Schedule` is the protocol. Epochs count from 1. In formulas t counts the steps
from 0 and T is the number of steps, both after the warm-up.

All but `plateau`, which goes by what is measured, and `one_cycle`, which brings its own rise, share `warmup`; all but
`plateau` share `momentum`, the values of the first and of the last epoch. A warm-up is written with its unit:
`5epochs`, `500steps`, or a share of the whole training such as 0.1.
"""

from holdfast.schedules.constant import constant
from holdfast.schedules.cosine import cosine
from holdfast.schedules.cosine_restarts import cosine_restarts
from holdfast.schedules.exponential import exponential
from holdfast.schedules.geometric import geometric
from holdfast.schedules.inverse_sqrt import inverse_sqrt
from holdfast.schedules.inverse_time import inverse_time
from holdfast.schedules.linear import linear
from holdfast.schedules.multistep import multistep
from holdfast.schedules.one_cycle import one_cycle
from holdfast.schedules.plateau import plateau
from holdfast.schedules.step import step
from holdfast.schedules.wsd import wsd

__all__ = [
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "geometric",
    "inverse_sqrt",
    "inverse_time",
    "linear",
    "multistep",
    "one_cycle",
    "plateau",
    "step",
    "wsd",
]
