"""Optimizers that torch does not have, or not as they are published; all others are torch's own.

Every option is called `optimizer(params)` with parameter groups; `holdfast.optimizers.param_groups` makes them.
"""

from holdfast.optimizers.lion import Lion
from holdfast.optimizers.muon import Muon
from holdfast.optimizers.nadam import NAdam

__all__ = [
    "Lion",
    "Muon",
    "NAdam",
]
