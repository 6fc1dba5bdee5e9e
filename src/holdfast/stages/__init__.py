"""Stages: what a run does. Every option is called `stage(experiment, record)` and returns the status of the run."""

from holdfast.stages.check import check
from holdfast.stages.fit import fit

__all__ = ["check", "fit"]
