"""The end of an epoch: metrics are read, the record and the checkpoints written, and stopping decided.

One callback in one order, because the order is what makes a killed run resumable: loggers first, then the checkpoint,
which alone says how far the run is, then the record. The disk is waited for once a second at most, and at the end of
the training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from holdfast.core.errors import Diverged
from holdfast.core.run_record import DURABLE_S, RunRecord
from holdfast.core.seeding import random_states, restore_random_states, seed_everything
from holdfast.early_stopping import StoppingRule
from holdfast.training.checkpoints import FOLDER, IDENTITY, LAST, STATE, best_name, place_copy, remove_other_bests
from holdfast.training.interrupts import SignalFlag
from holdfast.training.loggers import log_epoch
from holdfast.training.metric_names import is_better, metric_and_target, named_by_target, value_of_target
from holdfast.training.module import SupervisedModule
from holdfast.training.progress import Progress
from holdfast.training.reporter import Reporter
from holdfast.training.step_clock import StepClock


class EpochCallback(pl.Callback):
    """Keeps the record, the checkpoints and the clock of one run."""

    def __init__(
        self,
        record: RunRecord,
        *,
        shapes: dict[str, Any],
        stopping: StoppingRule | None,
        reporter: Reporter | None = None,
        signals: SignalFlag,
        loggers: Sequence[Logger] = (),
        resumed: dict[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.record = record
        self.monitor: str = record.fields["monitor"]
        self.mode: Literal["min", "max"] = record.fields["mode"]
        self.loggers = loggers
        self.progress = progress
        self.clock = StepClock()
        self.history: list[dict[str, Any]] = list(resumed["history"]) if resumed else []
        self.best: dict[str, Any] | None = resumed["best"] if resumed else None
        self.stop_reason: str | None = resumed["stop_reason"] if resumed else None
        self.is_pruned: bool = resumed["is_pruned"] if resumed else False
        self._random: dict[str, Any] | None = resumed["random"] if resumed else None
        self._written_epoch = len(self.history) if resumed else -1
        self._durable_at = time.monotonic()
        self._shapes = shapes
        self._stopping = stopping
        self._reporter = reporter
        self._signals = signals
        self._lr = math.nan
        (record.folder / FOLDER).mkdir(exist_ok=True)

    # Lightning's hooks, in the order in which they are called

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start clean: checkpoints are written between epochs, so nothing of an epoch is to be made up for."""
        self._signals.take_over()
        if self._written_epoch >= 0:
            _start_at_border(trainer)
        if self.progress is not None:
            self.progress.start()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the checkpoint of the epochs so far, also before the first one."""
        files: Any = trainer.strategy.checkpoint_io
        files.is_durable = time.monotonic() - self._durable_at >= DURABLE_S
        self._write(trainer, is_durable=files.is_durable)
        files.is_durable = True
        self._lr = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.clock.start_epoch()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Take the random states at the first step: what is drawn while loaders start must not count."""
        self.clock.start_step()
        if self._signals.number:
            self._signals.check()
        if batch_idx == 0 and self._random is not None:
            restore_random_states(self._random)
            if trainer.global_rank:  # other dropout on other devices
                own = np.random.SeedSequence(
                    [self.record.fields["seed"] or 0, trainer.current_epoch, trainer.global_rank]
                )
                seed_everything(int(own.generate_state(1)[0]))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop the clock of this step."""
        self.clock.end_step()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock of the training part."""
        self.clock.end_training(pl_module.device)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """A signal ends the run here as well."""
        self._signals.check()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the metrics, choose the best, decide whether to go on."""
        assert isinstance(pl_module, SupervisedModule)
        entry = {"epoch": len(self.history) + 1, "step": trainer.global_step, "lr": self._lr}
        numbers = {f"train/{name}": value for name, value in pl_module.train_metrics.compute().items()}
        numbers |= {f"val/{name}": value for name, value in pl_module.val_metrics.compute().items()}
        by_target = pl_module.val_metrics.by_target
        if metric_and_target(self.monitor)[1] is not None:
            numbers[self.monitor] = value_of_target(by_target, self.monitor, self.record.fields["data"]["class_names"])
        self.history.append({**entry, "seconds": self.clock.epoch_seconds(), **numbers})
        value = self.history[-1][self.monitor]
        # where Lightning looks for what a plateau schedule goes by
        trainer.callback_metrics[self.monitor] = torch.tensor(math.nan if value is None else value, dtype=torch.float64)
        self._check_finite()
        self._choose_best(by_target)
        log_epoch(self.loggers, self.history[-1])
        if self._stopping is not None:
            values = [math.nan if past[self.monitor] is None else past[self.monitor] for past in self.history]
            is_over, reason = self._stopping(values, mode=self.mode)
            self.stop_reason = reason if is_over else None
            trainer.should_stop = trainer.should_stop or is_over
        self._ask_reporter(trainer)
        if self.progress is not None:
            self.progress.show_epoch(self.history[-1], is_best=self._is_best_new)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the last checkpoint."""
        if self.stop_reason is None:
            self.stop_reason = f"all {len(self.history)} epochs are done"
        self._write(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add all that a resumed run or a prediction needs: plain values and tensors."""
        checkpoint[STATE] = {
            "history": self.history,
            "best": self.best,
            "stop_reason": self.stop_reason,
            "is_pruned": self.is_pruned,
            "random": self._random,
            "shapes": self._shapes,
            "pretrained": self.record.fields["pretrained"],
            "data": {name: (self.record.fields["data"] or {}).get(name) for name in IDENTITY},
        }

    # our own steps

    @property
    def _is_best_new(self) -> bool:
        return self.best is not None and self.best["epoch"] == len(self.history)

    def _ask_reporter(self, trainer: pl.Trainer) -> None:
        """Show the epoch to whoever follows the run; the process that writes the record asks for all."""
        answer = None if self._reporter is None else self._reporter.epoch(len(self.history), dict(self.history[-1]))
        if trainer.world_size > 1:
            answer = trainer.strategy.broadcast(answer)
        if answer is not None:
            self.stop_reason, self.is_pruned = answer.reason, answer.is_pruned
            trainer.should_stop = True

    def _check_finite(self) -> None:
        entry = self.history[-1]
        for name in ("train/loss", "val/loss"):
            if not math.isfinite(entry.get(name, 0.0)):
                self.record.set_history(self.history)
                raise Diverged(
                    name,
                    f"is {entry[name]} after epoch {entry['epoch']} (step {entry['step']}, lr {entry['lr']:g})",
                    next=f"a smaller lr; the weights before this epoch are in {FOLDER}/{LAST}",
                )

    def _choose_best(self, by_target: Mapping[str, Sequence[float]]) -> None:
        entry = self.history[-1]
        value = entry[self.monitor]
        if not is_better(value, None if self.best is None else self.best["value"], self.mode):
            return
        self.best = {
            "monitor": self.monitor,
            "mode": self.mode,
            "value": value,
            "epoch": entry["epoch"],
            "checkpoint": f"{FOLDER}/{best_name(entry['epoch'], self.monitor, value)}",
            "metrics": {name: number for name, number in entry.items() if name.startswith("val/")},
            **named_by_target(by_target, self.record.fields["data"]),
        }

    def _write(self, trainer: pl.Trainer, *, is_durable: bool = True) -> None:
        """Write the checkpoints, then the record, then remove the best that is none any more."""
        if self._written_epoch == len(self.history):
            return
        self._random = random_states()
        last = self.record.folder / FOLDER / LAST
        if self.best is not None and self._is_best_new:
            best = self.record.folder / self.best["checkpoint"]
            trainer.save_checkpoint(best)
            if trainer.is_global_zero:
                place_copy(best, last, is_durable=is_durable)
        else:
            trainer.save_checkpoint(last)
        self._written_epoch = len(self.history)
        if is_durable:
            self._durable_at = time.monotonic()
        if trainer.is_global_zero:
            self.record.fields.update(best=self.best, timings={**self.record.fields["timings"], **self.clock.timings()})
            self.record.set_history(self.history)
            keep = None if self.best is None else Path(self.best["checkpoint"]).name
            remove_other_bests(last.parent, keep)


def _start_at_border(trainer: pl.Trainer) -> None:
    """Tell Lightning's loops that the loaded checkpoint lies between two epochs, not within one."""
    loop = trainer.fit_loop
    loop.restarting = False
    loop.reset_restart_stage()
    loop.epoch_loop.reset_restart_stage()
    loop.epoch_loop.val_loop.reset_restart_stage()
    counts: tuple[Any, Any] = (loop.epoch_progress.current, loop.epoch_progress.total)
    for progress in counts:
        progress.ready = progress.started = progress.completed = progress.processed
    torch.set_grad_enabled(True)
