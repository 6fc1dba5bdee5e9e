"""Losses on logits, each with the reduction "mean over rows".

Every option gives a function of (outputs, targets). One that names the argument `task` is handed the task. One that
names `class_weights` takes None, one number a class, or a tensor, and is handed a tensor where the config says
"balanced"; weighted losses are means over rows of weight times loss, but for `cross_entropy` (see there).

Targets are int64 (rows,) for classes; otherwise they have the shape and dtype of the outputs: 0/1 for binary (rows,)
and multilabel (rows, labels), standardised values (rows,) for regression.
"""

from holdfast.losses.auto import auto
from holdfast.losses.binary_cross_entropy import binary_cross_entropy
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.losses.focal import focal
from holdfast.losses.hinge import hinge
from holdfast.losses.huber import huber
from holdfast.losses.mae import mae
from holdfast.losses.mse import mse
from holdfast.losses.reconstruction import reconstruction

__all__ = [
    "auto",
    "binary_cross_entropy",
    "cross_entropy",
    "focal",
    "hinge",
    "huber",
    "mae",
    "mse",
    "reconstruction",
]
