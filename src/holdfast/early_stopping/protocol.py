"""The protocol of rules that stop a run early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol


class StoppingRule(Protocol):
    """An early-stopping option: it sees the monitored value of every epoch so far."""

    def __call__(self, values: Sequence[float], *, mode: Literal["min", "max"]) -> tuple[bool, str]:
        """Decide whether to stop, and say why; the reason is empty when training goes on."""
        ...
