"""`ensemble=snapshots`: one training with a rate that starts again, and the mean of what its cycles end with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from holdfast.core.errors import InputError
from holdfast.core.files import write_atomic
from holdfast.core.run_record import FILE_NAME, RunRecord, read_run
from holdfast.core.tasks import Combine
from holdfast.ensembles.make import Candidate, Temperature, Trains, check_settings
from holdfast.ensembles.trained import FOLDER, is_completed, refuse_failed
from holdfast.ensembles.weights import Weights

if TYPE_CHECKING:
    from holdfast.training.reporter import Stop


@dataclass(frozen=True)
class Snapshots:
    """The ends of the cycles of one training whose rate starts again (CS231n; Huang et al. 2017, "Snapshot ensembles").

    Member n has gone on from where member n - 1 ended, so that together they cost one training.
    """

    combine: Combine = "probabilities"
    weights: Weights = "equal"
    temperature: Temperature = 1.0
    out_of_fold: ClassVar[bool] = False

    def check(self, experiment: Trains) -> None:
        """Refuse a training without cycles, weights and temperature."""
        if experiment.config.early_stopping:
            problem = "may end the training before the cycles do"
            raise InputError("early_stopping", problem, next="early_stopping=none")
        check_settings(self, len(cycle_ends(experiment)), experiment.build().datamodule.task)

    def members(self, experiment: Trains, record: RunRecord) -> list[Candidate]:
        """Train on to the end of every cycle that is missing."""
        from holdfast.training.checkpoints import FOLDER as CHECKPOINTS
        from holdfast.training.checkpoints import LAST
        from holdfast.training.stacking import train

        folders = [Path(FOLDER) / str(number) for number in range(len(cycle_ends(experiment)))]
        for number, end in enumerate(cycle_ends(experiment)):
            folder = record.folder / folders[number]
            if not is_completed(folder):
                if number and not (folder / FILE_NAME).exists():
                    _copy_to_go_on(record.folder / folders[number - 1], folder)
                print(f"\nmember {number}: to the end of cycle {number + 1}, epoch {end}", flush=True)
                train([experiment.member(folder, {})], [_EndOfCycle(number + 1, end)])
                refuse_failed(record.folder, folders[: number + 1])
        records = [read_run(record.folder / folder) for folder in folders]
        return [Candidate(folder, own, f"{CHECKPOINTS}/{LAST}") for folder, own in zip(folders, records, strict=True)]


def cycle_ends(experiment: Trains) -> list[int]:
    """The epochs with which the cycles of the rate end: before it rises again after it has fallen.

    Raises:
        InputError: There are fewer than two, or one ends within an epoch.
    """
    from holdfast.schedules.preview import preview
    from holdfast.training.build import build_schedule
    from holdfast.training.fit import steps_per_epoch

    config = experiment.config
    num_steps = steps_per_epoch(config, experiment.build().datamodule)
    lr, momentum = float(config.lr), 0.9  # the momentum does not matter, but some schedules need one
    seen = preview(
        build_schedule(config), lr=lr, momentum=momentum, max_epochs=config.max_epochs, steps_per_epoch=num_steps
    )
    rates, has_fallen, ends = [*seen.rates, seen.next_lr], False, []
    for step in range(1, len(rates)):
        if rates[step] > rates[step - 1] and has_fallen:
            ends.append(step)
            has_fallen = False
        has_fallen = has_fallen or rates[step] < rates[step - 1]
    advice = "schedule=cosine_restarts schedule.first_cycle_epochs=10 schedule.cycle_multiplier=1, and a max_epochs"
    if len(ends) < 2:
        problem = f"has {len(ends)} whole cycles in max_epochs={config.max_epochs}, and each gives a member"
        raise InputError("schedule", problem, "two or more", f"{advice} that is a multiple of 10")
    within = [step for step in ends if step % num_steps]
    if within:
        problem = f"ends a cycle within epoch {within[0] // num_steps + 1}"
        raise InputError("schedule", problem, "cycles and a warm-up of whole epochs", "schedule.first_cycle_epochs=10")
    return [step // num_steps for step in ends]


class _EndOfCycle:
    """A reporter that ends a run with an epoch."""

    def __init__(self, cycle: int, last_epoch: int) -> None:
        self._cycle, self._last_epoch = cycle, last_epoch

    def epoch(self, number: int, metrics: Mapping[str, float]) -> Stop | None:
        """End after the last epoch."""
        from holdfast.training.reporter import Stop

        return Stop(f"cycle {self._cycle} has ended") if number >= self._last_epoch else None


def _copy_to_go_on(before: Path, folder: Path) -> None:
    """Copy a run that has ended to a folder of its own, as one that was interrupted; it appears by one rename."""
    from holdfast.training.checkpoints import FOLDER as CHECKPOINTS
    from holdfast.training.checkpoints import LAST, STATE, read_checkpoint
    from holdfast.training.trainer import AtomicCheckpointIO

    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(before, temporary, ignore=shutil.ignore_patterns("report.html"))
    last = temporary / CHECKPOINTS / LAST
    content = read_checkpoint(last)
    content[STATE]["stop_reason"] = None
    AtomicCheckpointIO().save_checkpoint(content, last)
    fields = {**read_run(before), "id": folder.name, "status": "interrupted"}
    write_atomic(temporary / FILE_NAME, json.dumps(fields, indent=1, ensure_ascii=False) + "\n")
    os.replace(temporary, folder)
