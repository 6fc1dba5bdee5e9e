"""The interface of what follows a run from outside, such as a search, and may end it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Stop:
    """The answer of a reporter that ends a run after this epoch."""

    reason: str  # a sentence; it becomes the `stop_reason` of the record
    # whether the run was given up as not promising: its status is then `pruned`, and it cannot be frozen
    is_pruned: bool = False


class Reporter(Protocol):
    """Sees the metrics of every epoch of a run, on the process that writes its record."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> Stop | None:
        """Take the metrics of an epoch.

        Args:
            number: Of the epoch, from 1; a resumed run goes on counting.
            metrics: `train/...` and `val/...` by name, with `lr`, `step` and `seconds`.

        Returns:
            None to go on.
        """
        ...
