"""The jobs of a sweeper that is not ours, launched as Hydra asks for: a batch at a time, each in its own process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from holdfast.core.errors import HoldfastError, Problem, RunFailed, error_of_code
from holdfast.experiment.compose import typed_overrides
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.run import Run
from holdfast.experiment.run_many import run_many

LAUNCHER = "hydra_plugins.holdfast.process_launcher.ProcessLauncher"


class FinishedJob(JobReturn):
    """The answer of a job to its sweeper; the error of a failed job was printed by the job, and is only raised here."""

    @property  # type: ignore[misc]
    def return_value(self) -> Any:
        """The monitored value of the best epoch.

        Raises:
            HoldfastError: The job failed.
        """
        if self.error is not None:
            raise self.error
        return self._return_value

    @property
    def error(self) -> HoldfastError | None:
        """The error of a job that failed."""
        return self._return_value if self.status is JobStatus.FAILED else None


def run_jobs(
    jobs: Sequence[Sequence[str]], first_number: int, config: DictConfig, hydra_context: HydraContext, workers: int
) -> list[JobReturn]:
    """Run every job; one that fails leaves the others alone, a signal lets no further one start.

    Returns:
        One entry a job, in their order; of a job that failed with the status FAILED and the error.

    Raises:
        Interrupted: A signal came; the jobs have stopped.
    """
    composed: dict[Path, DictConfig] = {}

    def experiments() -> Iterator[Experiment]:
        for number, overrides in enumerate(jobs, first_number):
            job = _compose(overrides, number, config, hydra_context)
            experiment = Experiment.of(job)
            composed[experiment.folder] = job
            print(f"\njob {number}: {' '.join(typed_overrides(job))}", flush=True)
            yield experiment

    runs = {run.folder: run for run in run_many(experiments(), workers)}
    return [_job_return(runs[folder], job) for folder, job in composed.items()]


def _compose(overrides: Sequence[str], number: int, config: DictConfig, hydra_context: HydraContext) -> DictConfig:
    job: DictConfig = hydra_context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(job):
        job.hydra.job.id = job.hydra.job.num = number
        job.hydra.sweep.dir = config.hydra.sweep.dir  # resolved here: another process has another ${run_id:}
        job.hydra.runtime.output_dir = os.path.abspath(Path(job.hydra.sweep.dir) / str(job.hydra.sweep.subdir))
    return job


def _job_return(run: Run, config: DictConfig) -> FinishedJob:
    job = FinishedJob(overrides=typed_overrides(config), cfg=config)
    record = run.record
    if record["status"] in ("completed", "pruned"):
        job.status, job._return_value = JobStatus.COMPLETED, run.value
    else:
        job.status, job._return_value = JobStatus.FAILED, _error_of(record)
    return job


def _error_of(record: dict[str, Any]) -> HoldfastError:
    """The error that a run has failed of, by its record."""
    error = record["error"]
    if error is None:
        return RunFailed("run", str(record["stop_reason"]))
    problems = error.get("problems") or [error]
    fields = ("where", "what", "allowed", "next")
    return error_of_code(error["code"], [Problem(*(problem[name] for name in fields)) for problem in problems])
