"""Runs of one architecture that are trained together, as one network with the weights of all."""

from holdfast.training.stacking.grouping import group
from holdfast.training.stacking.together import train

__all__ = ["group", "train"]
