"""Hydra's door to `holdfast.experiment.jobs`. Every Hydra app in the environment loads this file: keep it light."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ProcessLauncher(Launcher):
    """Runs each job of a sweep in a process of its own.

    Attributes:
        finished: The jobs of all batches so far.
    """

    def __init__(self, n_jobs: int = 1) -> None:
        self.n_jobs = n_jobs
        self.finished: list[JobReturn] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over."""
        self.hydra_context = hydra_context
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and wait for them."""
        from holdfast.experiment.jobs import run_jobs

        batch = run_jobs(job_overrides, initial_job_idx, self.config, self.hydra_context, self.n_jobs)
        self.finished += batch
        return batch
