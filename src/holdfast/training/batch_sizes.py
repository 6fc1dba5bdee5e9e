"""The batch-size finder: training steps in batches of 2, 4, 8, ... rows, until memory or the train rows end.

Lightning's finder drives a whole Trainer, changes the run it is called in, and knows no bound by the data of our
loaders; this one trains nothing that is kept, and what it finds is typed as `batch_size=...`, so that a run's config
says what it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from holdfast.data.loading.batches import as_target
from holdfast.training.fit import check_parts
from holdfast.training.precision import HALF, device_of, precision_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from holdfast.data.loading.datamodule import DataModule
    from holdfast.training.module import SupervisedModule

NUM_STEPS = 3
GOOD_SHARE = 0.9
TRUE_TYPES = {"64-true": torch.float64, "bf16-true": HALF[1], "16-true": HALF[0]}
MIXED_TYPES = {"bf16-mixed": HALF[1], "16-mixed": HALF[0]}


@dataclass(frozen=True)
class Trial:
    """Steps with batches of one size; `seconds` is that of a step without loading rows, NaN where nothing fits."""

    batch_size: int
    seconds: float
    rows_per_s: float
    fits: bool


def find_batch_sizes(config: DictConfig, datamodule: DataModule) -> Iterator[Trial]:
    """Try 2, 4, 8, ... and at last all train rows; the first size that does not fit ends it.

    Raises:
        InputError: The parts of the config do not fit each other or the data.
    """
    module, _ = check_parts(config, datamodule)
    device = torch.device(device_of(str(config.trainer.accelerator)))
    precision = precision_of(config.trainer)
    module.to(device=device, dtype=TRUE_TYPES.get(precision, torch.float32))
    mixed = MIXED_TYPES.get(precision)
    context: Any = nullcontext() if mixed is None else torch.autocast(device.type, mixed)
    optimizer = module.make_optimizer(module.model)
    largest = len(datamodule.train_rows)
    size = min(2, largest)  # batch norm takes no single row
    while True:
        seconds = _seconds(module, optimizer, _first_rows(datamodule, size), context)
        yield Trial(size, seconds, size / seconds, fits=seconds == seconds)  # noqa: PLR0124 - NaN
        if seconds != seconds or size == largest:  # noqa: PLR0124
            return
        size = min(2 * size, largest)


def advised(trials: list[Trial]) -> Trial | None:
    """The smallest batch that reaches nine tenths of the best rows per second; None where none fits."""
    fitting = [trial for trial in trials if trial.fits]
    best = max((trial.rows_per_s for trial in fitting), default=0.0)
    return next((trial for trial in fitting if trial.rows_per_s >= GOOD_SHARE * best), None)


def _first_rows(datamodule: DataModule, size: int) -> tuple[Tensor, Tensor]:
    rows = datamodule.train_rows[:size]
    return datamodule.first_train_rows(size), as_target(datamodule.prepared.y[rows])


def _seconds(module: SupervisedModule, optimizer: Any, batch: tuple[Tensor, Tensor], context: Any) -> float:
    """The fastest of some steps, after one that makes ready; NaN where memory does not suffice."""
    seconds = []
    try:
        x, y = (part.to(module.device) for part in batch)
        for _ in range(1 + NUM_STEPS):
            started = time.perf_counter()
            with context:
                loss = module.training_step((x, y), 0)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if x.is_cuda:
                torch.cuda.synchronize(x.device)
            seconds.append(time.perf_counter() - started)
            module.train_metrics.reset()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return float("nan")
    return min(seconds[1:])


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory did not suffice, on whatever device."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in str(error) for word in words)
