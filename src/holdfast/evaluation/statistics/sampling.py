"""The settings of all intervals, and the interval of a proportion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
FEWEST_GROUPS = 10  # of fewer, the spread between groups is no estimate that one may rely on


@dataclass(frozen=True, eq=False)
class Sampling:
    """The settings of all intervals."""

    confidence: float = CONFIDENCE  # of each interval by itself
    # (n,) group of every row, where groups were declared: they are the units, not the rows
    groups: NDArray[np.int64] | None = None
    seed: int = 0  # of all draws

    def num_units(self, rows: NDArray[np.bool_]) -> int:
        """The number of rows in a mask, or of the groups that have some of them."""
        return int(rows.sum()) if self.groups is None else len(np.unique(self.groups[rows]))

    def is_small(self, num_units: int) -> bool:
        """Tell whether the rows are of so few groups that Wilson's interval of the groups is the better one."""
        return self.groups is not None and num_units < FEWEST_GROUPS

    def z(self) -> float:
        """The quantile of the normal distribution for a two-sided interval."""
        from scipy.stats import norm

        return float(norm.ppf((1 + self.confidence) / 2))


DEFAULT = Sampling()


def wilson(share: float, num_units: int, sampling: Sampling = DEFAULT) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927); the share need not be a whole number of units."""
    z2 = sampling.z() ** 2
    centre = (share + z2 / (2 * num_units)) / (1 + z2 / num_units)
    half = math.sqrt(z2 * (share * (1 - share) / num_units + z2 / (4 * num_units**2))) / (1 + z2 / num_units)
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))
