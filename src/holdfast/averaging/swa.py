"""Stochastic weight averaging."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim.swa_utils import get_swa_multi_avg_fn

from holdfast.averaging.averaged_weights import AveragedWeights


def swa(*, start: float = 0.75, every_num_epochs: int = 1) -> AveragedWeights:
    """Stochastic weight averaging: the mean of the weights at ends of epochs (Izmailov et al. 2018, algorithm 1).

    Raises:
        InputError: An argument is out of its range.
    """
    update = get_swa_multi_avg_fn()  # type: ignore[no-untyped-call]

    def average(kept: Any, weights: Any, num_kept: Tensor) -> None:
        update(kept, weights, int(num_kept))  # by a tensor torch divides in single precision

    return AveragedWeights(average, start=start, every_num_epochs=every_num_epochs, takes_statistics=True)
