"""Many runs, several at a time, each in a process of its own: what one leaves behind or breaks, the others do not see.

All processes are forked from a warm one (`experiment.warm`). Runs that leave nothing behind share one after the other.
The workers share the cores; where there are several GPUs, each worker has one of them.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np

from holdfast.core.child import Child
from holdfast.core.errors import HoldfastError, InputError, Interrupted, Problem, RunFailed, error_of_code
from holdfast.core.messages import Header
from holdfast.core.run_record import FILE_NAME, RunRecord, read_run
from holdfast.experiment.console import run_line
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.parts import notebook_parts
from holdfast.experiment.run import Run
from holdfast.experiment.warm import start_process
from holdfast.training.interrupts import caught_signals
from holdfast.training.reporter import Reporter

WAIT_S = 0.2  # until signals are looked for, and experiments where there were none at the moment
ASKED_TO_STOP = (signal.SIGINT, signal.SIGTERM)
CONSOLE = "look at the lines on the console"

Reporters = Callable[[Experiment], Reporter]


def run_many(
    experiments: Iterable[Experiment | None],
    workers: int = 1,
    reporter: Reporters | None = None,
    process: Child | None = None,
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
        process: Of `warm.start_process`, where it was started ahead; it is ended.

    Raises:
        InputError: A part of an experiment lives in this process alone.
        Interrupted: SIGINT or SIGTERM came and was passed on; all runs have ended. A second signal kills all.
    """
    source = iter(experiments)
    waiting: tuple[Experiment, bytes] | None = None
    ended: list[Callable[[], Run]] = []
    has_more = True
    with closing(_Workers(workers, reporter, process)) as pool, caught_signals() as signals:
        while True:
            if signals.number:
                has_more, waiting = False, None
                pool.interrupt(signals.number)
            if waiting is not None and pool.has_free:
                pool.start(*waiting)
                waiting = None
            for close in ended:  # whatever that takes, and the caller does with them, the next run has begun
                yield close()
            ended = []
            if has_more and waiting is None:
                waiting, has_more = _fetch(source)
                if waiting is not None:
                    continue
            if not pool.runs and not has_more:
                break
            ended = pool.wait()
        signals.check()


def _fetch(source: Iterator[Experiment | None]) -> tuple[tuple[Experiment, bytes] | None, bool]:
    """The next experiment, pickled for its process too, if there is one at the moment, and whether there may be more.

    Raises:
        InputError: A part of it lives in this process alone.
    """
    try:
        experiment = next(source)
    except StopIteration:
        return None, False
    if experiment is None:
        return None, True
    for place, target in notebook_parts(experiment.config):
        problem = f"{target} is not in a file, and other processes cannot import it"
        raise InputError(place, problem, next="move it into a module")
    return (experiment, experiment.as_bytes()), True


@dataclass
class _Begun:
    """A run that a worker has begun."""

    experiment: Experiment
    reporter: Reporter | None
    error: HoldfastError | None = None  # what it has failed of, if it said so
    is_interrupted: bool = False  # whether a signal was passed on to it


class _Workers:
    """Workers that run one experiment at a time each, and the warm process, which is replaced where it was killed."""

    def __init__(self, count: int, reporters: Reporters | None, process: Child | None) -> None:
        self.runs: dict[int, _Begun] = {}  # by the number of their worker
        self._count = count
        self._reporters = reporters
        self._process = process or start_process()  # it imports while the first experiment is fetched

    @property
    def has_free(self) -> bool:
        """Tell whether a worker has nothing to run."""
        return len(self.runs) < self._count

    def start(self, experiment: Experiment, content: bytes) -> None:
        """Have a free worker begin with an experiment."""
        worker = min(set(range(self._count)) - self.runs.keys())
        has_reporter = self._reporters is not None
        self.runs[worker] = _Begun(experiment, self._reporters(experiment) if self._reporters else None)
        request = {"has_reporter": has_reporter, "argv": [sys.argv[0], *experiment.overrides]}
        array = np.frombuffer(content, np.uint8)
        self._process.send({**request, "worker": worker, "workers": self._count}, array)

    def wait(self) -> list[Callable[[], Run]]:
        """Wait a moment for a message of a run; gives what closes the runs that have ended."""
        try:
            message, _ = self._process.answer(WAIT_S)
        except TimeoutError:
            return []
        except HoldfastError:  # the warm process was killed, or a message was torn
            self.close()
            self._process = start_process()
            return [self._end(worker, None) for worker in list(self.runs)]
        worker = message["worker"]
        if "ended" in message:
            return [self._end(worker, message["ended"])]
        if "problems" in message:
            problems = [Problem(**problem) for problem in message["problems"]]
            self.runs[worker].error = error_of_code(message["code"], problems)
        else:
            self._answer(worker, message)
        return []

    def interrupt(self, number: int) -> None:
        """Pass a signal on to all runs, once."""
        for worker, begun in self.runs.items():
            if not begun.is_interrupted:
                begun.is_interrupted = True
                self._process.send({"signal": number, "worker": worker})

    def close(self) -> None:
        """End the warm process and all runs."""
        self._process.close()

    def _answer(self, worker: int, message: Header) -> None:
        """Ask the reporter about an epoch."""
        reporter = self.runs[worker].reporter
        assert reporter is not None
        stop = reporter.epoch(message["epoch"], message["metrics"])
        answer = None if stop is None else {"reason": stop.reason, "is_pruned": stop.is_pruned}
        self._process.send({"stop": answer, "worker": worker})

    def _end(self, worker: int, code: int | None) -> Callable[[], Run]:
        """Free the worker of a run that has ended for another one; gives what closes the run's record."""
        return partial(self._close, self.runs.pop(worker), code)

    def _close(self, begun: _Begun, code: int | None) -> Run:
        _close_record(begun.experiment, code, begun.error)
        run = Run(begun.experiment.folder)
        if self._count > 1:
            print(run_line(begun.experiment.title, run.record), flush=True)
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
