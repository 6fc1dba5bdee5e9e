"""How much this machine has: free memory, cores."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch


def free_bytes(device: torch.device) -> int:
    """Free memory of a CUDA device, or of this machine (the limit of its control group included)."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = [4 * 2**30]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = [1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])]
    with contextlib.suppress(OSError, ValueError):
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text() for name in ("max", "current"))
        free.append(int(limit) - int(used))
    return max(0, min(free))
