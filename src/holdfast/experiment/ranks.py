"""The processes of a run on several devices: this one is rank 0, and starts the others from its own checked config.

Only rank 0 checks the command line, prepares rows, writes the record and the checkpoints, and heeds signals; the others
(`python -m holdfast.experiment.ranks`) read the config from it and end with it. Lightning finds them started already:
its own launcher would repeat the command line, checks and sweep included.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from omegaconf import DictConfig, OmegaConf

from holdfast.core.errors import HoldfastError, InputError, Problem, RunFailed, raise_problems

SET_FROM_OUTSIDE = ("LOCAL_RANK", "WORLD_SIZE")
END_S = 60.0


@contextmanager
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
    before = dict(os.environ)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(_free_port()), NODE_RANK="0", LOCAL_RANK="0")
    request = {"config": OmegaConf.to_container(config, resolve=True), "folder": str(folder)}
    ranks = [_Rank(number, request) for number in range(1, count)]
    try:
        yield
        for rank in ranks:
            rank.process.wait(END_S)
    except HoldfastError:
        raise
    except Exception as error:  # what breaks one process breaks the conversation of all
        raise_failures(ranks)
        raise error
    else:
        raise_failures(ranks)
    finally:
        for rank in ranks:
            rank.end()
        os.environ.clear()
        os.environ.update(before)


class _Rank:
    """Another process of the run."""

    def __init__(self, number: int, request: dict[str, Any]) -> None:
        self.number = number
        self._told: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "holdfast.experiment.ranks"],
            stdin=subprocess.PIPE,
            stdout=self._told,
            stderr=self._complaints,
            env={**os.environ, "LOCAL_RANK": str(number)},
        )
        assert self.process.stdin is not None
        # left open: when it ends, rank 0 has ended
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def failure(self) -> tuple[list[Problem], str] | None:
        """Problems and class of what it failed with; None while it runs, and where it did not fail."""
        try:
            if self.process.wait(5.0) == 0:
                return None
        except subprocess.TimeoutExpired:
            return None
        self._told.seek(0)
        told = self._told.read().decode(errors="replace").strip()
        if told:
            answer = json.loads(told)
            return [Problem(**problem) for problem in answer["problems"]], answer["code"]
        self._complaints.seek(0)
        last = (self._complaints.read().decode(errors="replace").strip().splitlines() or ["no word"])[-1]
        last = last.removeprefix(f"[rank{self.number}]: ")
        what = f"ended with exit code {self.process.returncode} ({last})"
        return [Problem(f"rank {self.number}", what)], "failed"

    def end(self) -> None:
        """Kill it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._told.close()
        self._complaints.close()


def raise_failures(ranks: list[_Rank]) -> None:
    """Raise what the first rank that failed has failed with."""
    for rank in ranks:
        if failure := rank.failure():
            problems, code = failure
            raise_problems(problems, InputError if code == "input" else RunFailed)


def main() -> int:
    """Be one of the other ranks."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # rank 0 decides
    answer = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_rank_0, daemon=True).start()
    if str(Path.cwd()) not in sys.path:  # a module of the user's lies beside their configs
        sys.path.insert(1, str(Path.cwd()))
    try:
        _follow(OmegaConf.create(request["config"]), Path(request["folder"]))
    except HoldfastError as error:
        with answer:
            answer.write(json.dumps({"code": error.code, "problems": [asdict(problem) for problem in error.problems]}))
        return error.exit_code
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _follow(config: DictConfig, folder: Path) -> None:
    from holdfast.core.run_record import RunRecord
    from holdfast.experiment.experiment import Experiment, train_on

    train_on(Experiment(config, folder), RunRecord.follow(folder))


def _end_with_rank_0() -> None:
    while os.read(0, 1):  # not by sys.stdin, whose lock would be held when the process ends
        pass
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    exit_code = main()
    sys.stderr.flush()
    os._exit(exit_code)  # threads of the process group can abort an ordinary end
