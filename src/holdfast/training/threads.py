"""The number of threads that compute a run's steps (`threads=auto`): set by the size of a step, never by its time.

One thread and two give sums that differ in the last bits, so the number must be the same whenever a run goes on: it is
decided once, before the first step, and stands in the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from holdfast.core.cores import threads_allowed
from holdfast.training.devices import num_devices

# Measured on two cores (`tests/benchmarks/start_up.py steps`): below it a second thread gains less than a tenth of a
# step where nothing else runs, and doubles the step where other processes do.
MULTIPLY_ADDS_PER_THREAD = 15e6
MOST = torch.get_num_threads()  # as torch found them: one for each core that computes


def set_threads(config: Mapping[str, Any], multiply_adds: float, batch_size: int) -> int:
    """Have torch compute with as many threads as the config asks for, or as pay; returns the number.

    Args:
        config: The run's: `threads` and `trainer`.
        multiply_adds: Of a forward pass of one row.
        batch_size: Rows of a step, over all devices.
    """
    share = max(1, min(MOST, threads_allowed()) // max(1, num_devices(config["trainer"])))
    threads: Any = config.get("threads", "auto")
    if threads == "auto":
        work = 3 * batch_size * multiply_adds  # forward, and twice as much backward
        threads = max(1, min(share, int(work / MULTIPLY_ADDS_PER_THREAD)))
    torch.set_num_threads(threads)
    return int(threads)
