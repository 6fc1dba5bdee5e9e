"""The storage of a study's trials: Optuna's journal in the sweep's folder, or a database by its URL.

A journal is one line an event, in a file that several machines may share. A process that is killed while it appends
leaves half a line behind. Optuna's own lock lets the next event be glued to it, and nobody can read the file from then
on; the lock here takes half a line off before anything is appended. It is a lock of the operating system, which ends
with the process that holds it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import get_lock_file
from optuna.storages.journal._storage import JournalOperation

from holdfast.core.errors import InputError

JOURNAL = "journal.log"
LOCK = "lock"
PIECE_BYTES = 2**16

optuna.logging.set_verbosity(logging.WARNING)


class JournalLock:
    """A lock over a journal, as Optuna asks for one; the journal is whole when it has been acquired."""

    def __init__(self, journal: Path, lock: FileLock) -> None:
        self._journal = journal
        self._lock = lock

    def acquire(self) -> bool:
        """Wait for the lock, then mend the journal."""
        self._lock.acquire()
        try:
            take_off_half_a_line(self._journal)
        except BaseException:
            self._lock.release()
            raise
        return True

    def release(self) -> None:
        """Let the others write."""
        self._lock.release()


class _Journal(JournalFileBackend):
    """Optuna's journal. A trial's beginning, values and end are durable; its epochs become so with the next of them."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append events."""
        if any(log["op_code"] != JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE for log in logs):
            super().append_logs(logs)
            return
        with get_lock_file(self._lock), Path(self._file_path).open("ab") as file:
            file.writelines(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)


def take_off_half_a_line(path: Path) -> None:
    """Cut a file behind its last line end."""
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - PIECE_BYTES)
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            if place >= 0:
                end = start + place + 1
                break
            end = start
        if end < size:
            file.truncate(end)


def lock_of(folder: Path) -> FileLock:
    """The lock that the processes of a study share; within one process it can be taken again."""
    return FileLock(folder / LOCK)


def open_storage(folder: Path, url: str | None, lock: FileLock) -> BaseStorage:
    """Open the storage of a study, or make it: a database by its URL, or the journal in its folder.

    Raises:
        InputError: It cannot be read or written.
    """
    if url is None:
        with _told("hydra.sweep.dir", folder / JOURNAL, next="start the sweep anew in another folder"):
            whole = JournalLock(folder / JOURNAL, lock)
            return JournalStorage(_Journal(str(folder / JOURNAL), whole))  # type: ignore[arg-type]
    hint = "leave it out for a journal in the sweep's folder"
    with _told("sweep.storage", url, allowed="sqlite:///FILE, or null", next=hint):
        return RDBStorage(url)


@contextmanager
def _told(where: str, place: Any, *, allowed: str = "", next: str) -> Iterator[None]:
    """Tell what any library says of a storage as an error of ours."""
    try:
        yield
    except Exception as error:  # a database's driver raises what it likes, and may be missing
        reason = (str(error).splitlines() or [""])[0]
        problem = f"{place} cannot be read or written ({type(error).__name__}: {reason})"
        raise InputError(where, problem, allowed, next) from None
