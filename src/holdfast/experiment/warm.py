"""The process that runs are forked from (`python -m holdfast.experiment.warm`): it imports once what all of them need.

It imports and computes nothing else: a fork of a process that has computed with several threads, or has touched a GPU,
can hang. The heap is frozen, so that a run's garbage collections neither look through it nor copy its pages.

Each question is an experiment, and one is answered after the other. The run itself sends the metrics of its epochs and
reads the answers to them; this process only says how the run has ended. Where nobody asks any more, the run is killed:
whoever takes its place must be the only one that writes into its folder.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from typing import Any, BinaryIO, NoReturn

from holdfast.config.groups import GROUPS
from holdfast.core.child import take_pipes
from holdfast.core.errors import HoldfastError, Interrupted
from holdfast.core.files import finite
from holdfast.core.messages import Header, receive, send
from holdfast.training.reporter import Stop

GPUS = "CUDA_VISIBLE_DEVICES"


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
    """Fork a run for each question, until there are no more."""
    questions, answers = take_pipes()
    warm_up()
    while True:
        try:
            request, contents = receive(questions)
        except EOFError:
            return
        if not contents:  # a word to a run that has ended
            continue
        process = os.fork()
        if process == 0:
            _train(request, contents[0].tobytes(), questions, answers)
        _, status = os.waitpid(process, 0)
        try:
            send(answers, {"ended": os.waitstatus_to_exitcode(status)})
        except BrokenPipeError:  # nobody asks any more
            return


class _PipedReporter:
    """Shows the epochs of a run to the process that has asked for it."""

    def __init__(self, questions: BinaryIO, answers: BinaryIO) -> None:
        self._questions, self._answers = questions, answers
        self._replies: queue.SimpleQueue[Header] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def epoch(self, number: int, metrics: Mapping[str, float]) -> Stop | None:
        """Send the metrics of an epoch and wait for what to do."""
        send(self._answers, {"epoch": number, "metrics": finite(metrics)})
        reply = self._replies.get()
        return Stop(**reply["stop"]) if reply["stop"] else None

    def failed(self, error: HoldfastError) -> None:
        """Say what the run has failed of: it may not have come as far as a record."""
        send(self._answers, {"code": error.code, "problems": [asdict(problem) for problem in error.problems]})

    def _listen(self) -> None:
        try:
            while True:
                message, _ = receive(self._questions)
                if "signal" in message:
                    os.kill(os.getpid(), message["signal"])
                else:
                    self._replies.put(message)
        except EOFError:
            os.kill(os.getpid(), signal.SIGKILL)


def _train(request: Mapping[str, Any], content: bytes, questions: BinaryIO, answers: BinaryIO) -> NoReturn:
    """Run the experiment of a request, with what it prints on the console; it ends the process."""
    from holdfast.core.exits import ending
    from holdfast.experiment.compose import set_up_hydra
    from holdfast.experiment.console import run_on_console
    from holdfast.experiment.experiment import Experiment

    code = 1
    try:
        set_up_hydra()
        sys.argv = request["argv"]
        _take_one_gpu(request["worker"], request["workers"])
        if request["workers"] > 1:  # the lines of several runs would mix; errors are shown
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        parent = _PipedReporter(questions, answers)
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
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _take_one_gpu(worker: int, workers: int) -> None:
    """Leave one GPU to the run where several workers have several; CUDA looks at the variable when it is first used."""
    import torch

    named = os.environ.get(GPUS)
    gpus = [str(number) for number in range(torch.cuda.device_count())] if named is None else named.split(",")
    if workers > 1 and len(gpus) > 1:
        os.environ[GPUS] = gpus[worker % len(gpus)]


if __name__ == "__main__":
    main()
