"""An ensemble that trains nothing: runs that were trained before, all of them or the best by val."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig

from holdfast.core.advice import setting
from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.core.run_record import RunRecord, best_checkpoint, check_predicts, read_run
from holdfast.core.sweep_folder import runs_of
from holdfast.core.tasks import Combine
from holdfast.ensembles.make import Candidate, Temperature, Trains, check_settings
from holdfast.ensembles.weights import Weights
from holdfast.training.metric_names import check_monitor, mode_of

SHARED = {
    "vault": "vault",
    "val_sha256": "val rows",
    "view": "view of its rows",
    "task": "task",
    "num_outputs": "number of outputs",
    "class_names": "list of classes",
    "subset": "part of the train rows",
}


@dataclass(frozen=True)
class TopK:
    """Completed runs that share a vault and their val rows.

    Attributes:
        runs: The folder of a sweep or of other runs, of which the completed ones count; or a list of runs.
        size: The best so many by the monitor, the best first; None: all, in the order of their names.
        combine, weights, temperature: As of `make.Ensemble`.
    """

    runs: str | Sequence[str] = ()
    size: int | None = None
    combine: Combine = "probabilities"
    weights: Weights = "equal"
    temperature: Temperature = 1.0
    out_of_fold: ClassVar[bool] = False

    def check(self, experiment: Trains) -> None:
        """Refuse runs that cannot be averaged: all mistakes of one kind at once."""
        self._chosen(experiment)

    def members(self, experiment: Trains, record: RunRecord) -> list[Candidate]:
        """Choose the members, and take the description of their rows into the record."""
        chosen = self._chosen(experiment)
        first = chosen[0].record
        shared = {group: first["config"][group] for group in ("data", "split", "vault")}
        chosen_groups = {group: first["choices"].get(group) for group in shared}
        record.update(config=record.fields["config"] | shared, choices=record.fields["choices"] | chosen_groups)
        return chosen

    def _chosen(self, experiment: Trains) -> list[Candidate]:
        monitor = str(experiment.config.monitor)
        sound = _sound_runs(self._folders())
        task = str(sound[0].record["data"]["task"])
        check_monitor(monitor, task, experiment.config.get("metrics"))
        _refuse_other_monitor(experiment.config, sound)
        if self.size is not None:
            if self.size > len(sound):
                problem = f"is {self.size}, and there are {len(sound)} completed runs"
                raise InputError("ensemble.size", problem, f"2 to {len(sound)}")
            sign = 1.0 if mode_of(monitor, experiment.config.mode, experiment.config.get("metrics")) == "min" else -1.0
            sound = sorted(sound, key=lambda run: sign * _value(run, monitor))[: self.size]
        check_settings(self, len(sound), task)
        return sound

    def _folders(self) -> list[Path]:
        """The folders of the candidates."""
        if isinstance(self.runs, str):
            folder = Path(self.runs).expanduser()
            if not folder.is_dir():
                raise InputError("ensemble.runs", f"there is no folder {folder}", next="name a sweep, or [RUN_A,RUN_B]")
            records = [(run, read_run(run)) for run in runs_of(folder)]
            folders = [run for run, own in records if (own["kind"], own["status"]) == ("fit", "completed")]
            if len(folders) < 2:
                problem = f"{folder} has {len(folders)} completed runs in it"
                raise InputError("ensemble.runs", problem, "two or more", "name a sweep, or [RUN_A,RUN_B]")
            return folders
        if len(self.runs) < 2:
            problem = f"names {len(self.runs)} runs"
            raise InputError("ensemble.runs", problem, "two or more, or the folder of a sweep", "[RUN_A,RUN_B]")
        folders = [Path(run).expanduser() for run in self.runs]
        places = [folder.resolve() for folder in folders]
        twice = {str(folder) for folder, place in zip(folders, places, strict=True) if places.count(place) > 1}
        raise_problems([Problem("ensemble.runs", f"names {run} twice") for run in sorted(twice)])
        return folders


def _refuse_other_monitor(config: DictConfig, runs: Sequence[Candidate]) -> None:
    """An ensemble is judged by what its members were chosen by: their checkpoints say what that is, and it has none.

    Raises:
        InputError: Some were chosen by another monitor.
    """
    own = (config.monitor, mode_of(config.monitor, config.mode))
    theirs = [(run.record["best"]["monitor"], run.record["best"]["mode"]) for run in runs]
    raise_problems(
        [
            Problem(
                str(run.run),
                f"was chosen by {monitor} ({mode}), and the ensemble's monitor is {own[0]} ({own[1]})",
                next=f"monitor={monitor}" if len(set(theirs)) == 1 else "average runs with one monitor",
            )
            for run, (monitor, mode) in zip(runs, theirs, strict=True)
            if (monitor, mode) != own
        ]
    )


def _value(run: Candidate, monitor: str) -> float:
    """The val score of a run.

    Raises:
        InputError: It has none by this metric.
    """
    value = run.record["best"]["metrics"].get(monitor)
    if value is None:
        raise InputError(str(run.run), f"has no {monitor}", next="another monitor")
    return float(value)


def _sound_runs(folders: Sequence[Path]) -> list[Candidate]:
    """Runs that can be averaged; all that is wrong with any of them is told."""
    problems: list[Problem] = []
    runs: list[Candidate] = []
    for folder in folders:
        try:
            record = read_run(folder)
            problems += _problems(folder, record)
            if not problems:
                runs.append(Candidate(folder.absolute(), record, best_checkpoint(folder, record)))
        except InputError as error:
            problems += error.problems
    raise_problems(problems)
    for key, words in SHARED.items():
        advice = "average runs of the same data and split"
        raise_problems(
            [
                Problem(str(folder), f"has another {words} than {folders[0]}", next=advice)
                for folder, run in zip(folders, runs, strict=True)
                if run.record["data"].get(key) != runs[0].record["data"].get(key)
            ]
        )
    return runs


def _problems(folder: Path, record: Mapping[str, Any]) -> list[Problem]:
    """The problems of a run by itself; a check that refuses it raises.

    Raises:
        InputError: It predicts nothing that can be averaged.
    """
    check_predicts(folder, record)
    if record["kind"] != "fit":
        return [Problem(str(folder), "is an ensemble itself", next="name its members")]
    if record["status"] != "completed":
        return [Problem(str(folder), f"is {record['status']}", "completed", setting("resume", folder))]
    return []
