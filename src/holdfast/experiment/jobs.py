"""The jobs of a sweep, each in a process of its own: what one leaves behind or breaks, the others do not see.

A job answers through a pipe with its monitored value, or with what it failed of. A job that fails is a `JobReturn` with
the status FAILED, which the sweeper judges; it ends no other job.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from holdfast.core.cores import share_cores
from holdfast.core.errors import HoldfastError, Interrupted, Problem, RunFailed, error_of_code
from holdfast.core.exits import ending
from holdfast.experiment.check import check_free
from holdfast.experiment.compose import set_up_hydra, typed_overrides
from holdfast.experiment.console import run_on_console
from holdfast.experiment.experiment import Experiment

LAUNCHER = "hydra_plugins.holdfast.process_launcher.ProcessLauncher"


class FinishedJob(JobReturn):
    """The answer of a job to its sweeper; the error of a failed job was printed by the job, and is only raised here."""

    @property  # type: ignore[misc]
    def return_value(self) -> Any:
        """The monitored value of the best epoch.

        Raises:
            HoldfastError: The job failed.
        """
        if self.status is JobStatus.FAILED:
            raise self._return_value
        return self._return_value

    @property
    def error(self) -> HoldfastError | None:
        """The error of a job that failed."""
        return self._return_value if self.status is JobStatus.FAILED else None


@dataclass(frozen=True)
class _Job:
    """A job that runs."""

    number: int
    config: DictConfig
    process: BaseProcess
    answer: connection.Connection

    def finish(self) -> FinishedJob:
        """Read the answer of a process that has ended."""
        self.process.join()
        answer: dict[str, Any] = {}
        with contextlib.suppress(EOFError, OSError, ValueError):
            answer = json.loads(self.answer.recv_bytes()) if self.answer.poll() else {}
        self.answer.close()
        job = FinishedJob(overrides=typed_overrides(self.config), cfg=self.config)
        code = self.process.exitcode or 0
        job.status = JobStatus.FAILED if code or "value" not in answer else JobStatus.COMPLETED
        job._return_value = answer.get("value") if job.status is JobStatus.COMPLETED else self._error(answer, code)
        return job

    def _error(self, answer: dict[str, Any], code: int) -> HoldfastError:
        if code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            return Interrupted(code - 128)
        if "problems" in answer:
            return error_of_code(answer["code"], [Problem(**problem) for problem in answer["problems"]])
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return RunFailed(f"job {self.number}", how)


def warm_up(config: DictConfig) -> None:
    """Start the process that jobs are forked from; it imports torch and Lightning once, while the jobs are checked."""
    if config.hydra.launcher._target_ == LAUNCHER and _method() == "forkserver":
        from multiprocessing import forkserver

        multiprocessing.set_forkserver_preload(["holdfast.experiment.warm"])
        forkserver.ensure_running()


def check_job_folder(config: DictConfig, number: int) -> None:
    """Refuse a sweep into a folder where a job's run lies already: its `.hydra` would be written over.

    Raises:
        InputError: With the folder.
    """
    with open_dict(config):
        config.hydra.job.num = number
    check_free(Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir), "hydra.sweep.dir")


def run_jobs(
    jobs: Sequence[Sequence[str]], first_number: int, config: DictConfig, hydra_context: HydraContext, num_parallel: int
) -> list[JobReturn]:
    """Run every job; one that fails leaves the others alone, a signal lets no further one start.

    Returns:
        One entry a job, in their order; of a job that failed with the status FAILED and the error.

    Raises:
        Interrupted: A signal came; the jobs have stopped.
    """
    context: Any = multiprocessing.get_context(_method())
    waiting = deque(enumerate(jobs, first_number))
    ready: tuple[int, DictConfig] | None = None
    running: dict[int, _Job] = {}
    finished: dict[int, JobReturn] = {}
    with _forwarded_signals(running) as signals, _nothing_of_main():
        while running or ((ready or waiting) and not signals):
            while (ready or waiting) and len(running) < num_parallel and not signals:
                number, job_config = ready or _composed(waiting.popleft(), config, hydra_context)
                ready = None
                running[number] = _start(context, number, job_config, num_parallel)
            if ready is None and waiting:  # while the others run
                ready = _composed(waiting.popleft(), config, hydra_context)
            connection.wait([job.process.sentinel for job in running.values()], timeout=1.0)
            for number in [number for number, job in running.items() if not job.process.is_alive()]:
                finished[number] = running.pop(number).finish()
    if signals:
        raise Interrupted(signals[0])
    return [finished[number] for number in sorted(finished)]


def _method() -> str:
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def _composed(
    job: tuple[int, Sequence[str]], config: DictConfig, hydra_context: HydraContext
) -> tuple[int, DictConfig]:
    number, overrides = job
    job_config: DictConfig = hydra_context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(job_config):
        job_config.hydra.job.id = job_config.hydra.job.num = number
        job_config.hydra.sweep.dir = config.hydra.sweep.dir  # resolved here: another process has another ${run_id:}
    return number, job_config


def _start(context: Any, number: int, config: DictConfig, num_parallel: int) -> _Job:
    command = typed_overrides(config)
    print(f"\njob {number}: {' '.join(command)}", flush=True)
    answer, answers = context.Pipe(duplex=False)
    process = context.Process(target=_run_one, args=(config, [sys.argv[0], *command], num_parallel, answers))
    process.start()
    answers.close()
    return _Job(number, config, process, answer)


def _run_one(config: DictConfig, command_line: list[str], num_parallel: int, answers: connection.Connection) -> None:
    import torch
    from hydra._internal.callbacks import Callbacks

    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C reaches the sweep, which passes it on once
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    sys.argv = command_line
    torch.set_num_threads(share_cores(num_parallel))
    set_up_hydra()
    with ending():
        result = run_job(
            # a job composes nothing
            hydra_context=HydraContext(config_loader=None, callbacks=Callbacks()),  # type: ignore[arg-type]
            task_function=lambda _: run_on_console(Experiment.of(config), in_sweep=True),
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            configure_logging=False,
        )
        error = result._return_value
        if isinstance(error, HoldfastError):
            problems = [asdict(problem) for problem in error.problems]
            answers.send_bytes(json.dumps({"code": error.code, "problems": problems}).encode())
        if result.status is JobStatus.FAILED:
            raise error
        answers.send_bytes(json.dumps({"value": result.return_value}).encode())


def _end_with_the_sweep() -> None:
    """Stop this job when the sweep was killed, as if it had passed a signal on, so that the job can be resumed."""
    sweep = multiprocessing.parent_process()
    if sweep is not None:
        connection.wait([sweep.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _nothing_of_main() -> Iterator[None]:
    """Keep new processes from importing the script that this process runs: a job needs nothing of it.

    A script that calls `holdfast.sweep` without a guard around it would sweep again in each of its jobs.
    """
    main = sys.modules["__main__"]
    names = ("__file__", "__spec__")
    before = {name: main.__dict__[name] for name in names if name in main.__dict__}
    for name in names:
        main.__dict__[name] = None
    try:
        yield
    finally:
        for name in names:
            main.__dict__.pop(name, None)
        main.__dict__.update(before)


@contextmanager
def _forwarded_signals(running: dict[int, _Job]) -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM and pass them to the running jobs, which end themselves."""
    received: list[int] = []

    def forward(number: int, _: Any) -> None:
        received.append(number)
        for job in running.values():
            if job.process.pid is not None and job.process.is_alive():
                os.kill(job.process.pid, number)

    if threading.current_thread() is not threading.main_thread():  # Python allows no handlers there
        yield received
        return
    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
