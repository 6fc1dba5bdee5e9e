"""The process of a worker, as whoever starts it sees it: it gets ready first, and is told later what to train."""

from __future__ import annotations

from pathlib import Path

from holdfast.config.resolve import search_path
from holdfast.core.child import Child


def start_process(workers: int) -> Child:
    """Start a process that trains so many runs at a time; it imports what they need before it has a sweep."""
    process = Child("holdfast.search.worker", name="worker", path=search_path(), has_console=True)
    process.send({"workers": workers})
    return process


def give_sweep(process: Child, folder: Path, name: str, lease_s: float) -> None:
    """Have a process train the trials of a sweep, and hold their leases by a name.

    Its trials are taken over where it says nothing for `lease_s` seconds.

    Raises:
        RunFailed: It has died.
    """
    process.answer()  # it is ready
    process.send({"folder": str(folder), "worker": name, "lease_s": lease_s})
