"""Batches of mixed rows, the protocol of the options that make them, and the draws that they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from holdfast.config.resolve import build_option
from holdfast.core.errors import InputError, require
from holdfast.core.seeding import random_states, restore_random_states
from holdfast.core.tasks import task_of


@dataclass(frozen=True)
class Mixed:
    """A batch of mixed rows.

    Attributes:
        x: Of the shape of the rows.
        partner: (n,) The row that each one is mixed with.
        share: Of the row itself, in 0..1; the partner has the rest.
    """

    x: Tensor
    partner: Tensor
    share: float

    def main_targets(self, y: Tensor) -> Tensor:
        """The target with the larger share: what metrics of mixed rows compare with."""
        return y if self.share >= 0.5 else y[self.partner]


class Mixing(Protocol):
    """A mixing option."""

    def __call__(self, x: Tensor) -> Mixed | None:
        """Mix a batch of rows as the network sees them; None: this batch stays as it is."""
        ...


def build_mixing(node: Any, task: str, input_shape: Sequence[int]) -> Mixing | None:
    """The option `mixing`, tried on two rows.

    Raises:
        InputError: Rows of this task cannot be mixed, or an argument is out of its range.
    """
    if not node:
        return None
    if task_of(task).is_values:
        raise InputError("mixing", "makes rows of two classes, and this is a regression", next="mixing=none")
    mixing: Mixing = build_option(node)
    states = random_states()
    mixing(torch.zeros(2, *input_shape))
    restore_random_states(states)
    return mixing


def check_arguments(alpha: float, probability: float) -> None:
    """Refuse what shares and batches cannot be drawn by."""
    require(0.0 < alpha < math.inf, "mixing.alpha", alpha, "a positive number")
    require(0.0 <= probability <= 1.0, "mixing.probability", probability, "0 to 1")


def draw_share(alpha: float) -> float:
    """Draw the share of the rows themselves from Beta(alpha, alpha)."""
    return float(torch.distributions.Beta(alpha, alpha).sample())


def is_drawn(probability: float) -> bool:
    """Draw whether this batch is mixed."""
    return probability == 1.0 or float(torch.rand(())) < probability
