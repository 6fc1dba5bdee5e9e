"""The process that the processes of runs are forked from (`python -m holdfast.experiment.warm`).

It imports once what all runs need. It computes nothing: a fork of a process that has computed with several threads, or
has touched a GPU, can hang. The heap is frozen, so that a run's garbage collections neither look through it nor copy
its pages.

Each worker has a process of its own, which is forked with its first run and takes the next one where the last left
nothing behind: it came to its end, had one device and no code of the user's in it, and left the folder and the
environment as they were. Most of what a short run costs is done for the first time in a process. After any other run,
and after `RUNS`, a worker gets a new process.

Where nobody asks any more, the runs are killed: whoever takes their place must be the only one that writes into their
folders.
"""

from __future__ import annotations

import gc
import os
import queue
import select
import signal
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from typing import Any, BinaryIO, NoReturn

from holdfast.config.groups import GROUPS
from holdfast.config.resolve import search_path
from holdfast.core.child import Child, end_with_parent, take_pipes
from holdfast.core.cores import threads_allowed
from holdfast.core.errors import HoldfastError, Interrupted
from holdfast.core.files import finite
from holdfast.core.messages import Array, Header, Message, receive, send
from holdfast.training.reporter import Stop

GPUS = "CUDA_VISIBLE_DEVICES"
RUNS = 20  # of one process: what a library keeps of each run does not add up


def start_process() -> Child:
    """Start it."""
    return Child("holdfast.experiment.warm", name="the process of runs", path=search_path(), has_console=True)


def warm_up() -> None:
    """Import what a run needs, look up what is the same for all, and freeze the heap."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy would start threads when it is imported

    import numpy.random  # noqa: F401
    import PIL.Image
    import tensorboard.plugins.hparams.metadata  # noqa: F401
    import torch.utils.serialization
    import torch.utils.tensorboard.writer  # noqa: F401
    from lightning_fabric.utilities import registry

    import holdfast.data.loading.datamodule
    import holdfast.data.sources.embedded
    import holdfast.experiment.console
    import holdfast.training.fit  # noqa: F401
    from holdfast.core.run_record import environment
    from holdfast.reporting.pages import compile_templates
    from holdfast.vault.ledger.ledger import code_sha256

    for group in GROUPS.values():
        for module in group.trusted:
            if module.startswith("holdfast.") and find_spec(module) is not None:
                import_module(module)
    compile_templates()
    PIL.Image.preinit()  # the formats of pictures
    registry.entry_points(group="pytorch_lightning.callbacks_factory")  # type: ignore[attr-defined]
    environment()
    code_sha256()

    gc.collect()
    gc.freeze()


def main() -> None:
    """Hand on messages between workers and their runs, until nobody asks any more."""
    end_with_parent()  # also while it imports
    questions, answers = take_pipes()
    warm_up()
    processes: dict[int, _Process] = {}  # by the number of their worker
    while True:
        sources: list[BinaryIO | _Process] = [questions, *processes.values()]
        ready, _, _ = select.select(sources, [], [])
        try:
            for worker, process in list(processes.items()):
                if process in ready:
                    message = process.answer()
                    if process.has_ended:
                        del processes[worker]
                    if message is not None:
                        send(answers, {**message, "worker": worker})
            if questions in ready:
                message, contents = receive(questions)
                worker = message["worker"]
                if contents and worker not in processes:
                    processes[worker] = _Process([questions, answers, *processes.values()])
                if contents or (worker in processes and processes[worker].is_busy):
                    processes[worker].tell(message, contents)
        except (EOFError, BrokenPipeError):  # nobody asks any more
            return


class _Process:
    """The process of a worker, as the one that has forked it sees it."""

    def __init__(self, others: Iterable[BinaryIO | _Process]) -> None:
        """Fork it; it keeps none of the others' pipes open, so that a pipe ends with whoever writes to it."""
        questions, self._questions = _pipe()
        self._answers, answers = _pipe()
        self.is_busy = False  # whether it has a run that has not ended
        self.has_ended = False  # whether it takes no further run
        self._pid = os.fork()
        if self._pid == 0:
            for other in (self, *others):
                other.close()
            _work(questions, answers)
        questions.close()
        answers.close()

    def fileno(self) -> int:
        """The descriptor that its messages come through, for `select`."""
        return self._answers.fileno()

    def tell(self, message: Header, contents: Sequence[Array]) -> None:
        """Hand on an experiment, or a word to its run."""
        self.is_busy = True
        with suppress(BrokenPipeError):  # `answer` says how it has ended
            send(self._questions, message, *contents)

    def answer(self) -> Header | None:
        """Read its next message; None where it has ended between two runs."""
        try:
            message, _ = receive(self._answers)
        except EOFError:
            code = self._end()
            return {"ended": code} if self.is_busy else None
        if "ended" in message:
            self.is_busy = False
            if message.pop("is_last"):
                self._end()
        return message

    def close(self) -> None:
        """Let go of its pipes."""
        with suppress(BrokenPipeError):  # it was killed, and has not read the last message
            self._questions.close()
        self._answers.close()

    def _end(self) -> int:
        """Wait until it has ended; gives its exit code, or minus the signal that has ended it."""
        self.has_ended = True
        self.close()
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    """A pipe, to read from without a buffer, so that `select` sees every message, and to write to."""
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb", buffering=0), os.fdopen(writer, "wb")


class _PipedReporter:
    """Shows the epochs of runs to the process that has asked for them, and takes from it what they are to do."""

    def __init__(self, questions: BinaryIO, answers: BinaryIO) -> None:
        self._questions, self._answers = questions, answers
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def experiment(self) -> Message:
        """Wait for the next experiment."""
        return self._messages.get()

    def epoch(self, number: int, metrics: Mapping[str, float]) -> Stop | None:
        """Send the metrics of an epoch and wait for what to do."""
        send(self._answers, {"epoch": number, "metrics": finite(metrics)})
        reply, _ = self._messages.get()
        return Stop(**reply["stop"]) if reply["stop"] else None

    def failed(self, error: HoldfastError) -> None:
        """Say what the run has failed of: it may not have come as far as a record."""
        send(self._answers, {"code": error.code, "problems": [asdict(problem) for problem in error.problems]})

    def ended(self, code: int, *, is_last: bool) -> None:
        """Say how the run has ended, and whether this process takes no further one."""
        send(self._answers, {"ended": code, "is_last": is_last})

    def _listen(self) -> None:
        try:
            while True:
                message, contents = receive(self._questions)
                if "signal" in message:
                    os.kill(os.getpid(), message["signal"])
                else:
                    self._messages.put((message, contents))
        except EOFError:
            os.kill(os.getpid(), signal.SIGKILL)


def _work(questions: BinaryIO, answers: BinaryIO) -> NoReturn:
    """Run experiments one after the other while they leave nothing behind; it ends the process."""
    from holdfast.experiment.compose import set_up_hydra

    try:
        set_up_hydra()
        parent = _PipedReporter(questions, answers)
        for number in range(RUNS):
            request, (content,) = parent.experiment()
            if number == 0:
                _take_cores(request["workers"])
                _take_one_gpu(request["worker"], request["workers"])
            if number == 0 and request["workers"] > 1:  # the lines of several runs would mix; errors are shown
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            before = os.getcwd(), dict(os.environ)
            code, leaves_something = _train(request, content.tobytes(), parent)
            is_same = (os.getcwd(), dict(os.environ)) == before
            is_last = number == RUNS - 1 or code != 0 or leaves_something or not is_same
            parent.ended(code, is_last=is_last)
            if is_last:
                break
            _free_memory()  # while the next experiment comes
            if number == 0:
                gc.freeze()  # what the first run has imported, too
    finally:
        os._exit(0)


def _train(request: Mapping[str, Any], content: bytes, parent: _PipedReporter) -> tuple[int, bool]:
    """Run the experiment of a request, with what it prints on the console.

    Returns:
        The exit code of a command that had done this alone, and whether the run may leave something behind: code of
        the user's, or what torch knows of the other processes of a run on several devices.
    """
    from holdfast.core.exits import ending
    from holdfast.experiment.console import run_on_console
    from holdfast.experiment.experiment import Experiment
    from holdfast.training.devices import num_devices

    sys.argv = request["argv"]
    try:
        with ending():
            try:
                experiment = Experiment.from_bytes(content)
                print(f"\n{experiment.title}", flush=True)
                run_on_console(experiment, in_sweep=True, reporter=parent if request["has_reporter"] else None)
            except Interrupted as error:  # the sweep says how all of its runs go on
                sys.exit(error.exit_code)
            except HoldfastError as error:
                parent.failed(error)
                raise
    except SystemExit as error:
        return (error.code if isinstance(error.code, int) else 1), True
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0, bool(experiment.config.trusted_modules) or num_devices(experiment.config.trainer) != 1


def _free_memory() -> None:
    """Free what a run has held: Lightning's objects point at each other, and torch keeps a GPU's memory for later."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def _take_cores(workers: int) -> None:
    """Leave the run its share of the cores; OpenMP has looked at the variable already, and other processes will."""
    import torch

    threads = max(1, threads_allowed() // workers)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


def _take_one_gpu(worker: int, workers: int) -> None:
    """Leave one GPU to the run where several workers have several; CUDA looks at the variable when it is first used."""
    import torch

    named = os.environ.get(GPUS)
    gpus = [str(number) for number in range(torch.cuda.device_count())] if named is None else named.split(",")
    if workers > 1 and len(gpus) > 1:
        os.environ[GPUS] = gpus[worker % len(gpus)]


if __name__ == "__main__":
    main()
