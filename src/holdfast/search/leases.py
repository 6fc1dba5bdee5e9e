"""Leases: which worker trains which trial, told by files that their holders touch again and again.

A lease is a file with the name of a worker in it. Its age is the difference of two times of the file system, so the
clocks of several machines need not agree. Nothing else says whether a worker lives: not its process id, which another
process may have by now, and not its host, which may be gone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TOUCHES = 4  # in the time of a lease


class Leases:
    """The leases of a study, as one worker sees them."""

    def __init__(self, folder: Path, worker: str, lease_s: float) -> None:
        """Look at a folder of leases.

        A lease that nobody has touched for `lease_s` is over.
        """
        self._folder = folder
        self._worker = worker
        self._lease_s = lease_s
        self._mine: set[int] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def take(self, number: int) -> None:
        """Take the lease of a trial; the caller holds the study's lock and has seen that it is free."""
        draft = self._folder.with_name("lease")  # one name, so that killed workers leave one file at most
        draft.write_text(self._worker)
        draft.replace(self._folder / str(number))
        self._mine.add(number)

    def is_mine(self, number: int) -> bool:
        """Tell whether this worker still has the lease of a trial."""
        return self._holder(number) == self._worker

    def release(self, number: int) -> None:
        """Give a lease back, if this worker has it."""
        if self.is_mine(number):
            self.clear(number)
        self._mine.discard(number)

    def end(self, worker: str) -> None:
        """End the leases of a worker that is known to have died; the caller holds the study's lock."""
        for number in self._numbers():
            if self._holder(number) == worker:
                self.clear(number)

    def clear(self, number: int) -> None:
        """End the lease of a trial, whoever has it; the caller holds the study's lock."""
        self._mine.discard(number)
        (self._folder / str(number)).unlink(missing_ok=True)

    def held(self) -> set[int]:
        """The numbers of the trials whose leases are not over."""
        now = self._now()
        held = set()
        for number in self._numbers():
            with suppress(FileNotFoundError):
                if now - (self._folder / str(number)).stat().st_mtime < self._lease_s:
                    held.add(number)
        return held

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Touch the leases of this worker while the body runs."""
        end = threading.Event()

        def touch() -> None:
            while not end.wait(self._lease_s / TOUCHES):
                for number in list(self._mine):
                    with suppress(OSError):
                        if self.is_mine(number):
                            os.utime(self._folder / str(number))

        thread = threading.Thread(target=touch, name="holdfast-leases", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def _numbers(self) -> list[int]:
        return [int(path.name) for path in self._folder.glob("[0-9]*")]

    def _holder(self, number: int) -> str | None:
        try:
            return (self._folder / str(number)).read_text()
        except FileNotFoundError:
            return None

    def _now(self) -> float:
        """The time of the file system."""
        path = self._folder.with_name("now")
        path.touch()
        return path.stat().st_mtime
