"""The cores of this machine: how many there are, and how idle threads wait for work."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

SPIN_COUNT = 30_000
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def num_cores() -> int:
    """Cores that this process may use: its affinity, and the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # "max 100000" where there is no quota
        quota, period = map(int, QUOTA.read_text().split())
        cores = min(cores, max(1, quota // period))
    return cores


def threads_allowed() -> int:
    """Threads that this process may compute with: OMP_NUM_THREADS where it is set, else a thread a core."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(int(given), num_cores())) if given.isdecimal() else num_cores()


def set_spin_count() -> None:
    """Let threads of GNU's OpenMP sleep sooner, in this process and those that it starts.

    By default a thread that waits for the others turns in a loop for milliseconds. Where other processes want the
    cores, that makes an epoch of small steps a hundred times slower. Call this before torch is imported. What the user
    has set stays.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)
