"""A sweep as it runs: workers are started and waited for, signals are passed on, failures are told once."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hydra._internal.callbacks import Callbacks
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig

from holdfast.config.groups import PRIMARY
from holdfast.core.advice import in_shell, setting
from holdfast.core.child import Child
from holdfast.core.errors import HoldfastError, Interrupted, RunFailed
from holdfast.core.run_record import METRICS_FILE_NAME
from holdfast.experiment.compose import OptionsLoader, typed_overrides
from holdfast.experiment.console import run_job_of_hydra
from holdfast.search.hydra_jobs import FinishedJob
from holdfast.search.study import Study
from holdfast.training.interrupts import SignalFlag, caught_signals

DEATHS_IN_A_ROW = 5
WAIT_S = 0.2


class Launcher(Protocol):
    """A launcher whose workers ask for trials themselves."""

    def start_workers(self, folder: Path, name: str) -> Child:
        """Start what trains the trials of the sweep in a folder, and hold their leases by a name."""
        ...


@dataclass(frozen=True)
class Outcome:
    """The end of a sweep."""

    num_jobs: int  # jobs or trials that have ended
    failures: Mapping[int, str] = field(default_factory=dict)  # number of a job that failed -> the reason
    stop_reason: str | None = None  # why it has not come to its end; None where it has
    is_retried: bool = False  # whether failed jobs are tried again when the sweep is resumed


def run_sweep(config: DictConfig, loader: OptionsLoader, process: Child | None = None) -> Outcome:
    """Run the jobs of a sweep by the sweeper of its config, whatever some of them fail of.

    `process` is the one that trains them, where it was started already.

    Raises:
        Interrupted: A signal came.
    """
    callbacks = Callbacks(config)
    callbacks.on_multirun_start(config=config, config_name=PRIMARY)
    sweeper = Plugins.instance().instantiate_sweeper(
        config=config,
        hydra_context=HydraContext(config_loader=loader, callbacks=callbacks),
        task_function=run_job_of_hydra,
    )
    launcher: Any = getattr(sweeper, "launcher", None)
    if process is not None:
        launcher.process = process
    outcome = None
    finished: list[FinishedJob] = getattr(launcher, "finished", [])
    try:
        outcome = sweeper.sweep(arguments=typed_overrides(config))
    except Exception as error:  # Hydra's own sweeper raises what the first failed job of a batch has failed of
        if not any(job.error is error for job in finished):
            raise
    callbacks.on_multirun_end(config=config, config_name=PRIMARY)
    return outcome if isinstance(outcome, Outcome) else _outcome_of_jobs(finished)


def run_study(folder: Path, launcher: Launcher) -> Outcome:
    """Train the trials of a sweep that have not ended, by workers of the launcher that ask for them.

    A worker that dies is replaced; its trials go on.

    Raises:
        InputError: The storage cannot be written.
        RunFailed: Workers die one after the other, and none of them brings a trial further.
        Interrupted: A signal came; the trials that were trained can go on.
    """
    study = Study.open(folder)
    deaths = 0
    with caught_signals() as signals:
        while not study.is_over():
            left, trained, name = study.num_left(), _trained_bytes(study), secrets.token_hex(8)
            try:
                with launcher.start_workers(folder, name) as worker:
                    _wait(worker, signals)
            except HoldfastError as error:
                signals.check()
                has_progress = study.num_left() < left or _trained_bytes(study) > trained
                deaths = 1 if has_progress else deaths + 1
                if not isinstance(error, RunFailed) or deaths == DEATHS_IN_A_ROW:
                    raise
            finally:
                study.end_leases(name)
    return outcome_of_study(study)


def outcome_of_study(study: Study) -> Outcome:
    """Sum up a study whose workers have ended."""
    trials = study.trials()
    failures = {trial.number: trial.reason or "" for trial in trials if trial.status == "failed"}
    ended = sum(trial.status in ("completed", "pruned", "failed") for trial in trials)
    is_retried = any(trial.can_be_retried for trial in trials)
    return Outcome(ended, failures, study.stop_reason() if study.num_left() else None, is_retried)


def raise_failures(outcome: Outcome, folder: Path) -> None:
    """Raise one error for all jobs that failed, with each cause once.

    Raises:
        RunFailed: Some did.
    """
    if outcome.stop_reason is not None:
        problem = f"was stopped: {outcome.stop_reason}"
        raise RunFailed("sweep", problem, next=f"mend the cause, then -m {setting('resume', folder)}")
    if outcome.failures:
        causes: dict[str, list[str]] = {}
        for number, reason in outcome.failures.items():
            causes.setdefault(reason.partition("; next:")[0], []).append(str(number))
        which = "; ".join(f"{', '.join(numbers)} ({reason})" for reason, numbers in causes.items())
        problem = f"{len(outcome.failures)} of {outcome.num_jobs} jobs failed: {which}"
        again = f"-m {setting('resume', folder)} tries them again"
        hint = again if outcome.is_retried else f"`holdfast runs {in_shell(folder)}`"
        raise RunFailed("sweep", problem, next=hint)


def _trained_bytes(study: Study) -> int:
    """The size of the metrics of all runs of trials that have not ended; it grows with every epoch."""
    unended = [trial.folder for trial in study.trials() if trial.status in ("running", "interrupted")]
    return sum(path.stat().st_size for folder in unended for path in folder.rglob(METRICS_FILE_NAME))


def _wait(worker: Child, signals: SignalFlag) -> None:
    """Wait until a worker has ended, and pass a signal on to it."""
    is_told = False
    while True:
        if signals.number and not is_told:
            worker.interrupt()
            is_told = True
        with suppress(TimeoutError):
            answer, _ = worker.answer(WAIT_S)
            if answer["interrupted"] is not None:
                raise Interrupted(answer["interrupted"])
            return


def _outcome_of_jobs(jobs: list[FinishedJob]) -> Outcome:
    """Sum up the jobs that a sweeper has had launched."""
    return Outcome(len(jobs), {number: str(job.error) for number, job in enumerate(jobs) if job.error is not None})
