"""One number among the parameters of a function: differences, kinks and flat places around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from holdfast.checks.probes.observer import Observer

ROUNDING = 1e-14
FLAT_STEP = 1e-8


@dataclass(frozen=True)
class Element:
    """One number among the parameters of a function.

    Attributes:
        function: Of no arguments; it is multiplied by `scale`.
        name: Of the parameter.
        parameter: Holds the number, and is set back after each evaluation.
        index: Of the number, in the flattened parameter.
        scale: Brings the largest gradient to 1.
    """

    function: Callable[[], Tensor]
    name: str
    parameter: nn.Parameter
    index: int
    scale: float

    @torch.no_grad()
    def difference(self, h: float) -> tuple[float, float]:
        """The centred difference, and what rounding may have added to it."""
        step = self._step(h)
        with self._moved(step):
            higher = float(self.function())
        with self._moved(-step):
            lower = float(self.function())
        return self.scale * (higher - lower) / (2 * step), ROUNDING * self.scale * abs(higher) / step

    @property
    @torch.no_grad()
    def is_flat(self) -> bool:
        """True if the function is constant around its whole parameter: steps are in the way.

        A gradient that passes them nonetheless (straight-through, Bengio et al. 2013) is meant.
        """
        value = self.function()
        original = self.parameter.detach().clone()
        values = []
        for sign in (1.0, -1.0):
            self.parameter.copy_(original + sign * FLAT_STEP * torch.randn_like(original))
            values.append(self.function())
        self.parameter.copy_(original)
        return all(torch.equal(value, other) for other in values)

    @torch.no_grad()
    def crosses_kink(self, h: float) -> bool:
        """Tell whether a winner of a ReLU, a maximum or the like changes between both sides."""
        winners = []
        for step in (-self._step(h), 0.0, self._step(h)):
            with self._moved(step), Observer() as observer:
                self.function()
            winners.append(observer.winners)
        first, *others = winners
        return not all(_are_equal(first, other) for other in others)

    def _step(self, h: float) -> float:
        return h * max(1.0, abs(float(self.parameter.detach().flatten()[self.index])))

    @contextmanager
    def _moved(self, step: float) -> Iterator[None]:
        original = self.parameter.detach().clone()
        moved = original.flatten().clone()
        moved[self.index] += step
        self.parameter.copy_(moved.view_as(original))
        try:
            yield
        finally:
            self.parameter.copy_(original)


def _are_equal(first: list[Tensor], other: list[Tensor]) -> bool:
    return len(first) == len(other) and all(
        a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, other, strict=True)
    )
