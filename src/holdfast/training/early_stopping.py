"""When to stop before the last epoch: rules over the monitored values, without a state of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from holdfast.core.errors import InputError


class StoppingRule(Protocol):
    """An early-stopping option: it sees the monitored value of every epoch so far."""

    def __call__(self, values: Sequence[float], *, mode: Literal["min", "max"]) -> tuple[bool, str]:
        """Whether to stop, and why; the reason is empty when training goes on."""
        ...


def patience(
    values: Sequence[float], *, mode: Literal["min", "max"], num_epochs: int = 10, min_delta: float = 0.0
) -> tuple[bool, str]:
    """Stop when `num_epochs` epochs in a row did not improve on the best by more than `min_delta` (Prechelt 1998).

    The answer follows from the history alone, so a resumed run stops where an uninterrupted one does.

    Raises:
        InputError: `num_epochs` is below 1, or `min_delta` is negative.
    """
    if num_epochs < 1:
        raise InputError("early_stopping.num_epochs", f"is {num_epochs}", allowed="whole numbers from 1")
    if min_delta < 0:
        raise InputError("early_stopping.min_delta", f"is {min_delta}", allowed="numbers from 0")
    sign = 1.0 if mode == "min" else -1.0
    best, best_epoch = float("inf"), 0
    for epoch, value in enumerate(values, start=1):
        if sign * value < best - min_delta:
            best, best_epoch = sign * value, epoch
    waited = len(values) - best_epoch
    if waited < num_epochs:
        return False, ""
    return (
        True,
        f"no improvement by more than {min_delta:g} on {sign * best:.6g} of epoch {best_epoch} in {waited} epochs",
    )
