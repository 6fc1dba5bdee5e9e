"""The jobs of a sweep, each in a process of its own: what one leaves behind or breaks, the others do not see."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shlex
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from holdfast.core.cores import share_cores
from holdfast.core.errors import InputError, Interrupted, RunFailed
from holdfast.core.exits import ending
from holdfast.experiment.experiment import check_free, run

LAUNCHER = "hydra_plugins.holdfast.process_launcher.ProcessLauncher"


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

    Raises:
        RunFailed: Jobs failed; the others have finished.
        Interrupted: A signal came, here or in a job.
    """
    context: Any = multiprocessing.get_context(_method())
    waiting = deque(enumerate(jobs, first_number))
    ready: tuple[int, DictConfig] | None = None
    running: dict[int, tuple[BaseProcess, JobReturn]] = {}
    finished: dict[int, JobReturn] = {}
    codes: dict[int, int] = {}
    with _forwarded_signals(running) as signals:
        while running or ((ready or waiting) and not signals):
            while (ready or waiting) and len(running) < num_parallel and not signals:
                number, job_config = ready or _composed(waiting.popleft(), config, hydra_context)
                ready = None
                command = list(job_config.hydra.overrides.task)
                print(f"\njob {number}: {' '.join(command)}", flush=True)
                process = context.Process(target=_run_one, args=(job_config, [sys.argv[0], *command], num_parallel))
                process.start()
                running[number] = (process, JobReturn(overrides=command, cfg=job_config, status=JobStatus.COMPLETED))
            if ready is None and waiting:  # while the others run
                ready = _composed(waiting.popleft(), config, hydra_context)
            connection.wait([process.sentinel for process, _ in running.values()], timeout=1.0)
            for number in [n for n, (process, _) in running.items() if not process.is_alive()]:
                process, finished[number] = running.pop(number)
                process.join()
                codes[number] = process.exitcode or 0
    _show(Path(config.hydra.sweep.dir))
    _raise_failures(codes, signals, Path(config.hydra.sweep.dir))
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


def _run_one(config: DictConfig, command_line: list[str], num_parallel: int) -> None:
    import torch
    from hydra._internal.callbacks import Callbacks

    from holdfast.experiment.compose import set_up_hydra

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
            task_function=run,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            configure_logging=False,
        )
        if result.status is JobStatus.FAILED:
            raise result._return_value


def _end_with_the_sweep() -> None:
    """A sweep that is killed can pass no signal on; its jobs stop as if it had, so that they can be resumed."""
    sweep = multiprocessing.parent_process()
    if sweep is not None:
        connection.wait([sweep.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _forwarded_signals(running: dict[int, tuple[BaseProcess, JobReturn]]) -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM and pass them to the running jobs, which end themselves."""
    received: list[int] = []

    def forward(number: int, _: Any) -> None:
        received.append(number)
        for process, _job in running.values():
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(folder: Path) -> None:
    from rich.console import Console

    from holdfast.reporting.leaderboard import leaderboard, print_table, repeats_below
    from holdfast.reporting.learning_curve import leave_learning_curve

    with contextlib.suppress(InputError):  # no job came as far as a record
        rows = leaderboard(folder)
        print()
        print_table(rows, Console(width=None if sys.stdout.isatty() else 200), repeats_below(folder))
        if files := leave_learning_curve(folder):
            print(f"curve  {', '.join(shlex.quote(str(file)) for file in files)}")
        if rows[0].value is not None:
            print(f"next   holdfast freeze {shlex.quote(str(folder / rows[0].folder))}", flush=True)


def _raise_failures(codes: dict[int, int], signals: list[int], folder: Path) -> None:
    failed = {number: code for number, code in sorted(codes.items()) if code}
    if signals or (failed and set(failed.values()) <= {130, 143}):
        raise Interrupted(signals[0] if signals else min(failed.values()) - 128)
    if failed:
        which = ", ".join(f"{number} (exit code {code})" for number, code in failed.items())
        raise RunFailed(
            "sweep", f"{len(failed)} of {len(codes)} jobs failed: {which}", next=f"`holdfast runs {folder}`"
        )
