"""Many runs, several at a time, each in a process of its own: what one leaves behind or breaks, the others do not see.

Every worker is a warm process (`experiment.warm`) that forks one run after the other, in a tenth of a second. The
workers share the cores; where there are several GPUs, each worker has one of them.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack

import numpy as np

from holdfast.config.resolve import search_path
from holdfast.core.child import Child
from holdfast.core.cores import threads_allowed
from holdfast.core.errors import HoldfastError, InputError, Interrupted, Problem, RunFailed, error_of_code
from holdfast.core.messages import Header
from holdfast.core.run_record import FILE_NAME, RunRecord, read_run
from holdfast.experiment.console import run_line
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.parts import notebook_parts
from holdfast.experiment.run import Run
from holdfast.training.interrupts import caught_signals
from holdfast.training.reporter import Reporter

WAIT_S = 0.2  # until signals are looked for, and experiments where there were none at the moment
ASKED_TO_STOP = (signal.SIGINT, signal.SIGTERM)
CONSOLE = "look at the lines on the console"

Reporters = Callable[[Experiment], Reporter]


def run_many(
    experiments: Iterable[Experiment | None], workers: int = 1, reporter: Reporters | None = None
) -> Generator[Run, None, None]:
    """Run experiments, and give each run as soon as it has ended, however it has ended.

    A run that fails, is killed or runs out of memory has a record that says so, and ends no other one. While all
    workers are busy, the next experiment is fetched already. One worker shows the epochs of its runs; several show a
    line when a run has ended.

    Args:
        experiments: Checked; they are fetched one after the other as they are needed. None says that there is none at
            the moment, and that one may come.
        workers: Runs at a time.
        reporter: Gives the reporter of an experiment, which is asked in this process.

    Raises:
        InputError: A part of an experiment lives in this process alone.
        Interrupted: SIGINT or SIGTERM came and was passed on; all runs have ended. A second signal kills all.
    """
    source = iter(experiments)
    waiting: Experiment | None = None
    ended: list[Run] = []
    has_more = True
    with ExitStack() as stack, caught_signals() as signals:
        slots = [_Slot(number, workers) for number in range(workers)]
        for slot in slots:
            stack.callback(slot.close)
        while True:
            if signals.number:
                has_more, waiting = False, None
                for slot in slots:
                    slot.interrupt(signals.number)
            free = [slot for slot in slots if slot.experiment is None]
            if waiting is not None and free:
                free[0].start(waiting, reporter)
                waiting = None
            yield from ended  # whatever the caller does with them, the next run has begun
            ended = []
            if has_more and waiting is None:
                waiting, has_more = _fetch(source)
                if waiting is not None:
                    continue
            busy = [slot for slot in slots if slot.experiment is not None]
            if not busy and not has_more:
                break
            ready, _, _ = select.select([slot.child for slot in busy], [], [], WAIT_S)
            runs = [slot.go_on() for slot in busy if slot.child in ready]
            ended = [run for run in runs if run is not None]
        signals.check()


def _fetch(source: Iterator[Experiment | None]) -> tuple[Experiment | None, bool]:
    """The next experiment, if there is one at the moment, and whether there may be more.

    Raises:
        InputError: A part of it lives in this process alone.
    """
    try:
        experiment = next(source)
    except StopIteration:
        return None, False
    if experiment is not None:
        for place, target in notebook_parts(experiment.config):
            problem = f"{target} is not in a file, and other processes cannot import it"
            raise InputError(place, problem, next="move it into a module")
    return experiment, True


class _Slot:
    """A worker: a warm process, which is started when it is needed, and the experiment that it runs."""

    def __init__(self, number: int, workers: int) -> None:
        self.experiment: Experiment | None = None  # what runs; None where the worker is free
        self._number = number
        self._workers = workers
        self._child: Child | None = None
        self._reporter: Reporter | None = None
        self._error: HoldfastError | None = None
        self._is_interrupted = False

    @property
    def child(self) -> Child:
        """The warm process."""
        if self._child is None:
            environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, threads_allowed() // self._workers))}
            self._child = Child(
                "holdfast.experiment.warm",
                name=f"worker {self._number}",
                path=search_path(),
                environment=environment,
                has_console=True,
            )
        return self._child

    def start(self, experiment: Experiment, reporter: Reporters | None) -> None:
        """Begin with an experiment."""
        self.experiment, self._error, self._is_interrupted = experiment, None, False
        self._reporter = None if reporter is None else reporter(experiment)
        request = {"has_reporter": reporter is not None, "argv": [sys.argv[0], *experiment.overrides]}
        content = np.frombuffer(experiment.as_bytes(), np.uint8)
        self.child.send({**request, "worker": self._number, "workers": self._workers}, content)

    def go_on(self) -> Run | None:
        """Read a message of the run; gives the run when it has ended."""
        try:
            message, _ = self.child.answer()
        except HoldfastError:  # the warm process was killed, or a message was torn
            self.close()
            return self._finish(None)
        if "ended" in message:
            return self._finish(message["ended"])
        if "problems" in message:
            self._error = error_of_code(message["code"], [Problem(**problem) for problem in message["problems"]])
        else:
            self._answer(message)
        return None

    def interrupt(self, number: int) -> None:
        """Pass a signal on to the run, once."""
        if self.experiment is not None and not self._is_interrupted:
            self._is_interrupted = True
            self.child.send({"signal": number})

    def close(self) -> None:
        """End the warm process, and the run in it if there is one."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _answer(self, message: Header) -> None:
        """Ask the reporter about an epoch."""
        assert self._reporter is not None
        stop = self._reporter.epoch(message["epoch"], message["metrics"])
        self.child.send({"stop": None if stop is None else {"reason": stop.reason, "is_pruned": stop.is_pruned}})

    def _finish(self, code: int | None) -> Run:
        """Close the record of the run, and be free for another one."""
        assert self.experiment is not None
        experiment, self.experiment = self.experiment, None
        _close_record(experiment, code, self._error)
        run = Run(experiment.folder)
        if self._workers > 1:
            print(run_line(experiment.title, run.record), flush=True)
        return run


def _close_record(experiment: Experiment, code: int | None, error: HoldfastError | None) -> None:
    """Write how a run has ended, where the run itself could not.

    Args:
        experiment: What was run.
        code: The exit code of its process, or minus the signal that has ended it; None where nobody knows.
        error: What it has failed of, if it said so.
    """
    if (experiment.folder / FILE_NAME).exists():
        fields = read_run(experiment.folder)
        if fields["finished"] is not None:
            return
        record = RunRecord(experiment.folder, fields)
    else:
        record = experiment.open_record()
    signal_number = next((number for number in ASKED_TO_STOP if code in (-number, 128 + number)), None)
    if signal_number is not None:
        record.finish("interrupted", str(Interrupted(signal_number)))
        return
    if error is None:
        error = _unsaid(code)
    record.finish("failed", str(error), error=error.as_dict())


def _unsaid(code: int | None) -> RunFailed:
    """The error of a run whose process has ended without a word."""
    if code is not None and code >= 0:
        return RunFailed("run", f"its process ended with exit code {code}", next=CONSOLE)
    cause = "was killed" if code is None else f"was ended by signal {-code} ({signal.strsignal(-code)})"
    may_be_memory = code in (None, -signal.SIGKILL)
    hint = "too little memory may be the cause: a smaller batch_size" if may_be_memory else CONSOLE
    return RunFailed("run", f"its process {cause}", next=hint)
