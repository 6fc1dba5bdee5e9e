"""A worker of a sweep: it asks for trials, trains them and tells how they ended.

One worker trains several trials at a time, each run in a process of its own. It needs nothing but the sweep's folder,
so that any number of workers, on any machines that see the folder, can work on one sweep.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from holdfast.config.overrides import composition_problem
from holdfast.core.advice import quoted
from holdfast.core.child import Child
from holdfast.core.errors import Diverged, InputError, raise_problems
from holdfast.core.run_record import FILE_NAME, read_run
from holdfast.experiment.compose import OptionsLoader, compose_job, options_loader
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.run import Run
from holdfast.experiment.run_many import run_many
from holdfast.search.study import Study, Trial
from holdfast.training.reporter import Stop

HAS_RESULT = ("completed", "pruned")


@dataclass
class _Begun:
    """A trial that this worker trains."""

    trial: Trial  # what was asked for
    waiting: deque[int]  # the numbers of those of its runs that were not begun
    num_running: int = 0  # the number of runs that go on
    ended: list[Run] = field(default_factory=list)  # the runs that have ended


class _Reporter:
    """Reports the epochs of a run, and makes sure that the trial is still this worker's."""

    def __init__(self, study: Study, trial: Trial) -> None:
        self._study, self._trial = study, trial

    def epoch(self, number: int, metrics: Mapping[str, float]) -> Stop | None:
        """Report an epoch; a trial of several runs has no value before all have ended."""
        value = metrics.get(self._study.record.monitor)
        if value is None or len(self._study.record.repeats) > 1:
            self._study.check_lease(self._trial)
        else:
            self._study.report(self._trial, number, value)
        return None


def work(folder: Path, name: str, workers: int, lease_s: float, process: Child) -> None:
    """Train trials of the sweep in a folder until there are no more; see `Worker.work`.

    Args:
        folder: Of the sweep.
        name: Holds the leases of the trials.
        workers: Runs at a time.
        lease_s: Seconds without a word after which another worker may take a trial over.
        process: Of `warm.start_process`; it is ended.
    """
    study = Study.open(folder, worker=name, lease_s=lease_s)
    Worker(study, options_loader(study.record.config_dir), folder).work(workers, process)


class Worker:
    """Trains the trials of a study until there are no more."""

    def __init__(self, study: Study, loader: OptionsLoader, folder: Path) -> None:
        self._study = study
        self._loader = loader
        self._folder = Path(os.path.abspath(folder))
        self._begun: dict[int, _Begun] = {}

    def work(self, workers: int, process: Child) -> None:
        """Train, so many runs at a time, in forks of a process that is ended then.

        Raises:
            Interrupted: A signal came; the trials were given back and can go on.
            LeaseLost: This worker was silent for so long that another one has a trial of it.
        """
        runs = run_many(self._experiments(), workers, self._reporter, process)
        try:
            with self._study.kept_leases(), closing(runs):
                for run in runs:
                    begun = self._begun[self._number_of(run.folder)]
                    begun.num_running -= 1
                    self._note_end(begun, run)
        finally:
            for begun in self._begun.values():
                self._study.give_back(begun.trial)

    def _experiments(self) -> Iterator[Experiment | None]:
        """The runs to train, as they are needed; None where there are none at the moment."""
        while True:
            begun = next((begun for begun in self._begun.values() if begun.waiting), None)
            if begun is None:
                trial = self._study.ask()
                if trial is None:
                    if self._study.is_over():
                        return
                    yield None
                    continue
                repeats = deque(range(len(self._study.record.repeats)))
                begun = self._begun[trial.number] = _Begun(trial, repeats)
            number = begun.waiting.popleft()
            folder = self._folder_of(begun.trial, number)
            if (run := _run_with_result(folder)) is not None:  # a worker died before it could tell
                self._note_end(begun, run)
                continue
            try:
                experiment = self._experiment(begun.trial, number, folder)
            except InputError as error:
                del self._begun[begun.trial.number]
                self._study.tell(begun.trial, "failed", reason=str(error))
                continue
            begun.num_running += 1
            yield experiment

    def _experiment(self, trial: Trial, number: int, folder: Path) -> Experiment:
        """Make the experiment of a run of a trial.

        Raises:
            InputError: Its overrides cannot be composed.
        """
        record = self._study.record
        own = [*trial.overrides, *record.repeats[number]]
        words = [*record.hydra, *record.overrides, *own]
        experiment = compose_run_of_trial(words, self._loader, folder, trial.number)
        experiment.title = f"trial {trial.number}: {' '.join(own)}"
        return experiment

    def _folder_of(self, trial: Trial, number: int) -> Path:
        return trial.folder if len(self._study.record.repeats) == 1 else trial.folder / str(number)

    def _number_of(self, run: Path) -> int:
        return int(run.relative_to(self._folder).parts[0])

    def _reporter(self, experiment: Experiment) -> _Reporter:
        return _Reporter(self._study, self._begun[self._number_of(experiment.folder)].trial)

    def _note_end(self, begun: _Begun, run: Run) -> None:
        """Note that a run has ended, and tell of the trial where it was the last one."""
        begun.ended.append(run)
        if run.status != "completed":
            begun.waiting.clear()  # the trial has no mean any more
        if begun.waiting or begun.num_running:
            return
        del self._begun[begun.trial.number]
        tell_of_runs(self._study, begun.trial, begun.ended)


def tell_of_runs(study: Study, trial: Trial, runs: Sequence[Run]) -> None:
    """Tell how a trial has ended, by its runs: its value is their mean, and it has failed where one has."""
    records = [run.record for run in runs]
    for status in ("failed", "interrupted", "pruned"):
        for record in records:
            if record["status"] == status:
                has_diverged = (record["error"] or {}).get("code") == Diverged.code
                value = (record["best"] or {}).get("value") if status == "pruned" else None
                study.tell(trial, status, value, record["stop_reason"], has_diverged=has_diverged)
                return
    values = [(record["best"] or {}).get("value") for record in records]
    numbers = [value for value in values if value is not None]
    study.tell(trial, "completed", sum(numbers) / len(numbers) if len(numbers) == len(values) else None)


def compose_run_of_trial(words: Sequence[str], loader: OptionsLoader, folder: Path, number: int) -> Experiment:
    """Make the experiment of one run of a trial; it goes on where its folder holds a run.

    Raises:
        InputError: The overrides cannot be composed.
    """
    if (folder / FILE_NAME).exists():
        words = [*words, f"resume={quoted(str(folder.absolute()))}"]
    try:
        return Experiment.of(compose_job(words, loader, folder, number))
    except (HydraException, OmegaConfBaseException) as error:
        raise_problems([composition_problem(error)])
        raise


def _run_with_result(folder: Path) -> Run | None:
    """The run in a folder, if there is one that has come to its end; one that has failed is tried again."""
    if not (folder / FILE_NAME).exists():
        return None
    return Run(folder) if read_run(folder)["status"] in HAS_RESULT else None
