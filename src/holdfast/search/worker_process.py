"""The process of a worker (`python -m holdfast.search.worker_process`), as it is and as whoever starts it sees it.

It gets ready to train before it is told what: whoever sweeps starts it first of all.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from holdfast.config.resolve import search_path
from holdfast.core import child
from holdfast.core.child import Child
from holdfast.core.cores import set_spin_count
from holdfast.core.errors import Interrupted
from holdfast.core.messages import Array, Header
from holdfast.experiment import warm


def start_process() -> Child:
    """Start a process that imports what trials need."""
    process = Child("holdfast.search.worker_process", name="worker", path=search_path(), has_console=True)
    process.send({})
    return process


def give_sweep(process: Child, folder: Path, name: str, workers: int, lease_s: float) -> None:
    """Have a process train the trials of a sweep, so many at a time, and hold their leases by a name.

    Its trials are taken over where it says nothing for `lease_s` seconds.

    Raises:
        RunFailed: It has died.
    """
    process.answer()  # it is ready
    process.send({"folder": str(folder), "worker": name, "workers": workers, "lease_s": lease_s})


class _Answers:
    """The answers of this process: it gets ready to train, and then works on a sweep until no trial of it is left."""

    def __init__(self) -> None:
        self._process: Child | None = None  # that of runs

    def __call__(self, header: Header, arrays: list[Array]) -> tuple[Header, Sequence[Array]]:
        """Answer one of the two questions, of `start_process` and of `give_sweep`."""
        del arrays
        self._process = self._process or warm.start_process()  # it imports while this one does
        from holdfast.search.worker import work

        if not header:
            return {}, ()
        try:
            work(Path(header["folder"]), header["worker"], header["workers"], header["lease_s"], self._process)
        except Interrupted as error:
            return {"interrupted": error.signal_number}, ()
        return {"interrupted": None}, ()


def _stop() -> None:
    """Stop as if the sweep had passed a signal on, so that the trials can go on without waiting for their leases."""
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    set_spin_count()
    raise SystemExit(child.answer_questions(_Answers(), when_alone=_stop))
