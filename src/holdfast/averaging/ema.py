"""The exponential moving average."""

from __future__ import annotations

from torch.optim.swa_utils import get_ema_multi_avg_fn

from holdfast.averaging.averaged_weights import AveragedWeights
from holdfast.core.errors import require


def ema(*, decay: float = 0.999, every_num_steps: int = 1, start: float = 0.0) -> AveragedWeights:
    """average <- decay * average + (1 - decay) * weights, from the weights after the first step on.

    Batch-norm statistics are averaged alike (Polyak and Juditsky 1992; Tarvainen and Valpola 2017).

    Raises:
        InputError: An argument is out of its range.
    """
    require(0.0 <= decay < 1.0, "averaging.decay", decay, "0 <= decay < 1")
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedWeights(average, start=start, every_num_steps=every_num_steps)
