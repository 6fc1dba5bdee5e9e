from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from holdfast.experiment import warm


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_what_runs_are_forked_from_has_no_threads_and_a_frozen_heap() -> None:
    script = (
        "import gc, os; from holdfast.experiment.warm import warm_up; warm_up(); import torch\n"
        "print(len(os.listdir('/proc/self/task')), torch.cuda.is_initialized(), gc.get_freeze_count() > 100_000)"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False", "True"]


@pytest.mark.parametrize(
    ("visible", "present", "workers", "expected"),
    [
        (None, 4, 3, ["0", "1", "2"]),
        (None, 2, 3, ["0", "1", "0"]),
        ("5,7", 8, 2, ["5", "7"]),
        ("GPU-ab,GPU-cd", 8, 2, ["GPU-ab", "GPU-cd"]),
        (None, 4, 1, [None]),
        (None, 1, 2, [None, None]),
        (None, 0, 2, [None, None]),
        ("", 4, 2, ["", ""]),
    ],
)
def test_each_worker_has_one_gpu_of_several(
    visible: str | None, present: int, workers: int, expected: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: present)
    for worker, gpu in enumerate(expected):
        with monkeypatch.context() as patch:
            patch.setenv(warm.GPUS, visible or "")
            if visible is None:
                patch.delenv(warm.GPUS)
            warm._take_one_gpu(worker, workers)
            assert os.environ.get(warm.GPUS) == gpu


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setattr(warm, "threads_allowed", lambda: 8)
    before = torch.get_num_threads()
    try:
        for workers, threads in ((3, 2), (2, 4), (20, 1)):
            warm._take_cores(workers)
            assert (os.environ["OMP_NUM_THREADS"], torch.get_num_threads()) == (str(threads), threads)
    finally:
        torch.set_num_threads(before)


def test_a_message_that_a_killed_process_did_not_read_is_dropped() -> None:
    process = object.__new__(warm._Process)
    reader, process._questions = warm._pipe()
    process._answers, writer = warm._pipe()
    reader.close()
    process.tell({"signal": 15}, [])
    process.close()
    assert process._questions.closed
    assert process._answers.closed
    writer.close()
