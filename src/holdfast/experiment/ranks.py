"""The processes of a run on several devices: this one is rank 0, and starts the others from its own checked config.

Only rank 0 checks the command line, prepares rows, writes the record and the checkpoints, and heeds signals; the others
(`python -m holdfast.experiment.ranks`) read the config from it and end with it. Lightning finds them started already:
its own launcher would repeat the command line, checks and sweep included.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from holdfast.config.resolve import search_path
from holdfast.core import child
from holdfast.core.errors import HoldfastError, InputError
from holdfast.core.messages import Array, Header
from holdfast.core.run_record import RunRecord
from holdfast.experiment.experiment import Experiment

SET_FROM_OUTSIDE = ("LOCAL_RANK", "WORLD_SIZE")
END_S = 60.0
FAILURE_S = 5.0


@contextlib.contextmanager
def other_ranks(config: DictConfig, folder: Path) -> Iterator[None]:
    """Have the other processes of a run, where it has more than one device, while the body runs as rank 0.

    Raises:
        InputError: Something else has started several processes already.
        RunFailed: One of the others failed.
    """
    from holdfast.training.devices import num_devices

    count = num_devices(config.trainer)
    if count == 1:
        yield
        return
    if variables := [name for name in SET_FROM_OUTSIDE if name in os.environ]:
        problem = "is set: something else has started several processes"
        raise InputError(variables[0], problem, next=f"start one; trainer.devices={count} starts the others")
    from lightning_fabric.plugins.environments.lightning import find_free_network_port

    before = dict(os.environ)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(find_free_network_port()), NODE_RANK="0", LOCAL_RANK="0")
    request = {"config": OmegaConf.to_container(config, resolve=True), "folder": str(folder)}
    with contextlib.ExitStack() as stack:
        stack.callback(_set_environment, before)
        ranks = [stack.enter_context(_start(number, request)) for number in range(1, count)]
        try:
            yield
        except Exception as error:
            if not isinstance(error, HoldfastError):  # what breaks one process breaks the conversation of all
                _raise_failures(ranks, FAILURE_S)
            raise
        _raise_failures(ranks, END_S)


def train_on(experiment: Experiment, record: RunRecord) -> str:
    """Train as one of the processes of a run, which is most often the only one; or train an ensemble.

    Returns:
        The status of the run: "completed" or "pruned".
    """
    from holdfast.training.fit import fit
    from holdfast.training.row_guard import guarded

    if experiment.config.ensemble:
        return experiment.make_ensemble(record)
    built = experiment.build()
    datamodule = built.datamodule
    timings = {"start_up": time.perf_counter() - experiment.started}
    record.fields.update(data=datamodule.describe(), timings=timings)  # written when all that trains is described
    with guarded(built.module, datamodule, record.folder.name):
        return fit(built, record, experiment.reporter)


def _start(number: int, request: dict[str, Any]) -> child.Child:
    rank = child.Child(
        "holdfast.experiment.ranks",
        name=f"rank {number}",
        path=search_path(),
        environment={**os.environ, "LOCAL_RANK": str(number)},
        is_quiet=True,
    )
    rank.send(request)
    return rank


def _raise_failures(ranks: Sequence[child.Child], timeout_s: float) -> None:
    """Raise what the first rank that failed has failed with; one that still works has not failed."""
    for rank in ranks:
        with contextlib.suppress(TimeoutError):
            rank.answer(timeout_s)


def _set_environment(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def answer(header: Header, arrays: list[Array]) -> tuple[Header, Sequence[Array]]:
    """Train as one of the other ranks of a run; rank 0 decides when to stop."""
    del arrays
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    folder = Path(header["folder"])
    config = OmegaConf.create(header["config"])
    assert isinstance(config, DictConfig)
    train_on(Experiment(config, folder), RunRecord.follow(folder))
    return {}, ()


if __name__ == "__main__":
    exit_code = child.answer_questions(answer, only_one=True)
    os._exit(exit_code)  # threads of the process group can abort an ordinary end
