"""One run of a stack: its record, its best weights, its own end."""

from __future__ import annotations

import math
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from omegaconf import DictConfig
from torch import Tensor

from holdfast.core.errors import Diverged
from holdfast.core.run_record import RunRecord
from holdfast.training.checkpoints import FOLDER, LAST, STATE, remove_other_bests
from holdfast.training.epoch_callback import EpochCallback
from holdfast.training.fit import Built, begin
from holdfast.training.interrupts import SignalFlag
from holdfast.training.loggers import log_outcome
from holdfast.training.reporter import Reporter
from holdfast.training.stacking.stack import Stack
from holdfast.training.trainer import AtomicCheckpointIO

LIGHTNING = metadata.version("pytorch-lightning")

Result_co = TypeVar("Result_co", covariant=True)


class Trainable(Protocol[Result_co]):
    """An experiment as it is trained together with others."""

    config: DictConfig  # resolved
    folder: Path  # of its run
    fields: dict[str, Any]  # more fields of its record

    def build(self) -> Built:
        """Build what trains."""
        ...

    def open_record(self) -> RunRecord:
        """Open the record of the run, or that of a run that goes on."""
        ...

    def end(self, record: RunRecord, outcome: str | BaseException) -> None:
        """Write the last word into the record: a status, or what ended the run."""
        ...

    def run(self, reporter: Reporter | None = None) -> object:
        """Train alone, from the record's start to its end."""
        ...

    def result(self) -> Result_co:
        """The run in the folder."""
        ...


class Member:
    """A run of a stack, and what the end of its epochs asks a trainer for.

    `EpochCallback` keeps the record of a single run; here it keeps that of a member, with this in the place of
    Lightning's Trainer: the best checkpoint is held in memory until the member ends.
    """

    # as EpochCallback knows a trainer; nothing but the end of a member writes into its folder
    world_size, global_rank, is_global_zero = 1, 0, False

    def __init__(
        self,
        experiment: Trainable[Any],
        stack: Stack,
        place: int,
        reporter: Reporter | None,
        *,
        signals: SignalFlag,
        resumed: dict[str, Any] | None,
    ) -> None:
        """Open the record of a run.

        `place` is its first one in the stack; `resumed` is what `state` gave, of a run that goes on.
        """
        built = stack.members[place]
        self.experiment, self.built, self.stack = experiment, built, stack
        self.record = experiment.open_record()
        self.callback_metrics: dict[str, Tensor] = {}
        self.strategy = built.trainer.strategy  # its checkpoints are held, so that the disk is not waited for
        self.should_stop, self.global_step = False, resumed["global_step"] if resumed else 0
        # the name of the best checkpoint and its content
        self.held: tuple[str, dict[str, Any]] | None = resumed["held"] if resumed else None
        self.error: Diverged | None = None
        self.record.fields.update(data=built.datamodule.describe(), threads=torch.get_num_threads())
        if experiment.config.get("resume"):
            self.record.fields["best"] = resumed["best"] if resumed else None
            self.record.set_history(list(resumed["history"]) if resumed else [])
        self.callback: EpochCallback = begin(built, self.record, reporter, signals=signals, resumed=resumed)

    @property
    def num_epochs(self) -> int:
        """Epochs that are done."""
        return len(self.callback.history)

    @property
    def is_over(self) -> bool:
        """Tell whether its training ends after this epoch."""
        return self.error is not None or self.should_stop or self.num_epochs >= self.built.config.max_epochs

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """The one that moves its weights."""
        return [self.stack.part_of(self.place).optimizer]

    @property
    def place(self) -> int:
        """In the stack."""
        return next(place for place, built in enumerate(self.stack.members) if built is self.built)

    def start_epoch(self) -> None:
        """Hold the best weights so far, and begin an epoch."""
        self.callback.on_train_epoch_start(self, self.built.module)  # type: ignore[arg-type]

    def end_epoch(self, losses: Tensor) -> None:
        """Read the metrics, choose the best, decide whether to go on.

        A loss of a step that is not finite ends the member.
        """
        first_step, self.global_step = self.global_step, self.global_step + len(losses)
        try:
            if not bool(losses.isfinite().all()):
                batch = int(losses.isfinite().logical_not().nonzero()[0])
                step, epoch = first_step + batch + 1, self.num_epochs + 1
                message = f"is {float(losses[batch])} in step {step} (epoch {epoch}, batch {batch + 1})"
                raise Diverged("train/loss", message)
            self.callback.on_train_epoch_end(self, self.built.module)  # type: ignore[arg-type]
        except Diverged as error:
            problem = error.problems[0]
            self.error = Diverged(problem.where, problem.what, next="a smaller lr, a warm-up or clipping")

    def value(self) -> float:
        """The monitored value of the last epoch, NaN where there is none."""
        value = self.callback.history[-1].get(self.callback.monitor) if self.callback.history else None
        return math.nan if value is None else float(value)

    def save_checkpoint(self, path: Path) -> None:
        """Hold a checkpoint; the last one is made when the member ends."""
        if path.name != LAST:
            self.held = (path.name, self.checkpoint())

    def checkpoint(self) -> dict[str, Any]:
        """The checkpoint that a single run writes, but for the state of its optimizer."""
        module, weights = self.built.module, self.stack.weights.of(self.place)
        state = {name: weights.get(name.removeprefix("model."), value) for name, value in module.state_dict().items()}
        content: dict[str, Any] = {
            "state_dict": state,
            "epoch": self.num_epochs,
            "global_step": self.global_step,
            "pytorch-lightning_version": LIGHTNING,
        }
        self.callback.on_save_checkpoint(self, module, content)  # type: ignore[arg-type]
        content[STATE]["history"] = list(content[STATE]["history"])
        return content

    def state(self) -> dict[str, Any]:
        """The state that a member goes on from, beside its weights."""
        own = {"folder": self.experiment.folder.name, "held": self.held, "stack": self.record.fields["stack"]}
        return {**own, "global_step": self.global_step, **self.checkpoint()[STATE]}

    def write_files(self) -> None:
        """Write the best checkpoint and the last one, which say that the training is over."""
        if self.error is None:
            self.callback.on_train_end(self, self.built.module)  # type: ignore[arg-type]
        folder, best = self.record.folder / FOLDER, self.callback.best
        if self.held is not None:
            AtomicCheckpointIO().save_checkpoint(self.held[1], folder / self.held[0])
        if self.error is None:
            AtomicCheckpointIO().save_checkpoint(self.checkpoint(), folder / LAST)
        remove_other_bests(folder, self.held[0] if self.held else None)
        self.record.fields.update(best=best, stop_reason=self.callback.stop_reason)
        self.record.set_history(self.callback.history)
        if self.error is None and best is None:
            problem = f"{self.callback.monitor} was not a number in any epoch"
            self.error = Diverged("monitor", problem, next="monitor another metric")

    def end(self) -> None:
        """Write the last word into the record."""
        self.record.fields["stack"].pop("checkpoint")
        log_outcome(self.callback.loggers, self.record)
        self.experiment.end(self.record, self.error or ("pruned" if self.callback.is_pruned else "completed"))
