"""Hydra's door to `holdfast.search`. Every Hydra app in the environment loads this file: keep it light."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from holdfast.core.child import Child


class ProcessLauncher(Launcher):
    """Runs each job of a sweep in a process of its own."""

    def __init__(self, workers: int = 1, lease_s: float = 60.0) -> None:
        self.workers = workers
        self.lease_s = lease_s
        self.finished: list[JobReturn] = []  # the jobs of all batches so far
        self.process: Child | None = None  # one that was started ahead

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over."""
        self.hydra_context = hydra_context
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and wait for them."""
        from holdfast.search.hydra_jobs import run_jobs

        batch = run_jobs(job_overrides, initial_job_idx, self.config, self.hydra_context, self.workers)
        self.finished += batch
        return batch

    def start_workers(self, folder: Path, name: str) -> Child:
        """Start the process that trains the trials of a sweep, `workers` at a time, until there are no more."""
        from holdfast.search.worker_process import give_sweep, start_process

        process, self.process = self.process or start_process(), None
        give_sweep(process, folder, name, self.workers, self.lease_s)
        return process
