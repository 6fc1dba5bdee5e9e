"""Weight averaging: the run's model is a mean of weights. Every option is called `averaging()` and gives a callback.

While an average is kept, val metrics are those of the averaged weights, the best checkpoint is chosen by them, and a
checkpoint's `state_dict` holds them; the weights that the optimizer moves lie beside it and are what a resumed run
goes on from. Before the average begins it is the model itself.

Lightning's own `StochasticWeightAveraging` never validates its average, and brings a schedule of its own: here the rate
is the schedule's business (`schedule=constant` or `cosine_restarts` go well with SWA).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn, update_bn

from holdfast.core.errors import require

__all__ = ["ema", "swa"]


def ema(*, decay: float = 0.999, every_num_steps: int = 1, start: float = 0.0) -> AveragedWeights:
    """average <- decay * average + (1 - decay) * weights, from the weights after the first step on.

    Batch-norm statistics are averaged alike (Polyak and Juditsky 1992; Tarvainen and Valpola 2017).
    """
    require(0.0 <= decay < 1.0, "averaging.decay", decay, "0 <= decay < 1")
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedWeights(average, start=start, every_num_steps=every_num_steps)


def swa(*, start: float = 0.75, every_num_epochs: int = 1) -> AveragedWeights:
    """Stochastic weight averaging: the mean of the weights at ends of epochs (Izmailov et al. 2018, algorithm 1)."""
    update = get_swa_multi_avg_fn()  # type: ignore[no-untyped-call]

    def average(kept: Any, weights: Any, num_kept: Tensor) -> None:
        update(kept, weights, int(num_kept))  # by a tensor torch divides in single precision

    return AveragedWeights(average, start=start, every_num_epochs=every_num_epochs, takes_statistics=True)


class AveragedWeights(WeightAveraging):
    """Lightning's callback, with the averaged weights as the run's model; it averages after some of the steps."""

    def __init__(
        self,
        average: Callable[..., None],
        *,
        start: float,
        every_num_steps: int | None = None,
        every_num_epochs: int = 1,
        takes_statistics: bool = False,
    ) -> None:
        require(0.0 <= start < 1.0, "averaging.start", start, "0 <= start < 1, a share of the epochs")
        for name, count in (("every_num_steps", every_num_steps), ("every_num_epochs", every_num_epochs)):
            require(count is None or count >= 1, f"averaging.{name}", count, "whole numbers from 1")
        super().__init__(use_buffers=not takes_statistics, multi_avg_fn=average)
        self.start = start  # share of the epochs before the average begins
        self.every_num_steps = every_num_steps  # optimizer steps between two updates; None: only at ends of epochs
        self.every_num_epochs = every_num_epochs  # epochs between two updates at ends of epochs
        # whether batch-norm statistics of the average are taken anew from the train rows
        self.takes_statistics = takes_statistics
        self._steps_per_epoch = self._num_epochs = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """See how long training will be; by now the module is on its device."""
        assert self._average_model is not None
        self._average_model.to(pl_module.device)
        self._steps_per_epoch = -(-int(trainer.num_training_batches) // trainer.accumulate_grad_batches)
        self._num_epochs = int(trainer.max_epochs or 1)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Tell whether to update after a step, from 0; before the average begins, at ends of epochs alone."""
        if step_idx is None:
            return False
        done = step_idx + 1
        if not self._has_begun(step_idx):
            return done % self._steps_per_epoch == 0
        if self.every_num_steps is not None:
            return done % self.every_num_steps == 0
        epochs = done // self._steps_per_epoch - self._first_epoch
        return done % self._steps_per_epoch == 0 and (epochs - 1) % self.every_num_epochs == 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average where it is time."""
        before = self._latest_update_step
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._latest_update_step == before:
            return
        average = self._average_model
        assert average is not None
        if not self._has_begun(trainer.global_step - 1):
            average.n_averaged.zero_()
        elif self.takes_statistics:
            self._take_statistics(trainer, average)

    @property
    def _first_epoch(self) -> int:
        """Epochs before the average begins."""
        return int(self.start * self._num_epochs)

    def _has_begun(self, step_idx: int) -> bool:
        return step_idx // self._steps_per_epoch >= self._first_epoch

    def _take_statistics(self, trainer: pl.Trainer, average: AveragedModel) -> None:
        """One pass over the train rows, as they are stored (Izmailov et al. 2018, section 3.2)."""
        loader = trainer.datamodule.train_dataloader()  # type: ignore[attr-defined]
        with trainer.precision_plugin.forward_context():
            update_bn(loader, average.module, device=average.n_averaged.device)
