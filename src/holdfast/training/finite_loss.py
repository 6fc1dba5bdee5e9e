"""A loss that is no longer a number ends the run at once, with the step it happened in."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from holdfast.core.errors import Diverged
from holdfast.training.checkpoints import FOLDER, LAST

# steps between two looks on a device that has to be waited for
STEPS_PER_LOOK = 50


class FiniteLoss(pl.Callback):
    """Looks at the loss of every train step: at once on a CPU, at those of 50 steps together elsewhere."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._places: list[tuple[int, int, float]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the step, from 1, and its rate."""
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        self._places.append((trainer.global_step + 1, batch_idx + 1, rate))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss; look at it, or at many."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            self._losses.append(loss.detach())
            if loss.device.type == "cpu" or len(self._losses) >= STEPS_PER_LOOK:
                self._look(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at those that are left."""
        self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        losses, places, self._losses, self._places = self._losses, self._places, [], []
        values = [float(losses[0])] if len(losses) == 1 else torch.stack(losses).tolist() if losses else []
        for value, (step, batch, rate) in zip(values, places, strict=False):
            if not math.isfinite(value):
                raise Diverged(
                    "train/loss",
                    f"is {value} in step {step} (epoch {trainer.current_epoch + 1}, batch {batch}, lr {rate:g})",
                    next="a smaller lr, a warm-up or trainer.gradient_clip_val; the last finite weights, those before "
                    f"this epoch, are in {FOLDER}/{LAST}",
                )
