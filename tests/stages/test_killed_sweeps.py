"""Masters and workers of sweeps are killed at random: no trial is lost, none is trained twice, and all can be read."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from killed_sweeps import EPOCHS, value_of

from holdfast.core.child import OURS
from holdfast.search.record import SweepRecord
from holdfast.search.space import Dimension, Space
from holdfast.search.study import Study

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked for in /proc"),
]
NUM_MASTERS = 3


def write_sweep(folder: Path, trials: int, **changes: Any) -> None:
    fields: dict[str, Any] = {
        **{"typed": [], "config_dir": None, "cwd": str(folder), "hydra": [], "overrides": [], "arguments": {}},
        **{"space": Space((Dimension("lr", low=1e-4, high=1e-1, is_log=True),)), "sampler": "TPESampler", "seed": 0},
        **{"repeats": [[]], "trials": trials, "on_failure": "continue", "storage": None, "monitor": "val/loss"},
        **{"mode": "min", "workers": 1},
    }
    SweepRecord(**{**fields, **changes}).create(folder)


def training(folder: Path) -> list[tuple[int, int]]:
    """The process ids of workers that train at the moment, with those of their masters."""
    pairs = []
    for lease in (folder / "study" / "leases").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError):
            worker, master = map(int, (folder / f"worker-{lease.read_text()}").read_text().split())
            if Path(f"/proc/{worker}/cmdline").read_bytes() and Path(f"/proc/{master}/cmdline").read_bytes():
                pairs.append((worker, master))
    return pairs


@pytest.mark.parametrize("storage", [None, "sqlite:///{}/trials.db"], ids=["journal", "sqlite"])
def test_200_kills_lose_and_repeat_nothing(tmp_path: Path, storage: str | None) -> None:
    num_kills, num_trials = (200, 500) if storage is None else (10, 40)
    folder = tmp_path / "sweep"
    write_sweep(folder, num_trials, storage=None if storage is None else storage.format(tmp_path))
    draw = random.Random(0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([OURS, str(ROOT / "tests" / "stages")])}

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, str(ROOT / "tests" / "stages" / "killed_sweeps.py"), str(folder)]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    kills: Counter[str] = Counter()
    with (tmp_path / "log").open("wb") as log:
        masters = [start() for _ in range(NUM_MASTERS)]
        while kills.total() < num_kills:
            time.sleep(draw.uniform(0.02, 0.6))
            for number, master in enumerate(masters):
                if master.poll() is not None:
                    masters[number] = start()
            if pairs := training(folder):
                kind = draw.choice(["worker", "master"])
                os.kill(draw.choice(pairs)[kind == "master"], signal.SIGKILL)
                kills[kind] += 1
        for master in masters:
            master.wait(300)
        assert start().wait(60) == 0, (tmp_path / "log").read_text()
    assert min(kills["master"], kills["worker"]) > num_kills // 4
    trials = Study.open(folder).trials()
    assert [trial.number for trial in trials] == list(range(num_trials))
    assert Counter(trial.status for trial in trials) == {"completed": num_trials}
    for trial in trials:
        assert trial.value == value_of(trial.overrides)
        lines = [line.split() for line in (trial.folder / "log").read_text().splitlines()]
        assert {tuple(words) for _, _, *words in lines} == {tuple(trial.overrides)}, "its values are those for life"
        epochs = [int(epoch) for _, epoch, *_ in lines]
        assert epochs == sorted(epochs)
        assert set(epochs) == set(range(1, EPOCHS + 1))
        # a worker that dies between its note and its checkpoint leaves an epoch to be repeated
        assert len(epochs) <= EPOCHS + len({worker for worker, *_ in lines}) - 1
        workers = [worker for worker, *_ in lines]
        assert len({*workers}) == 1 + sum(a != b for a, b in itertools.pairwise(workers)), "one at a time"
    if storage is None:
        assert all(json.loads(line) for line in (folder / "study" / "journal.log").read_text().splitlines())
    logs = [(trial.folder / "log").read_text().splitlines() for trial in trials]
    taken_over = sum(len({line.split()[0] for line in lines}) > 1 for lines in logs)
    print(dict(kills), f"{taken_over} trials were taken over")
    assert taken_over > num_kills // 2
    assert not list((folder / "study" / "leases").iterdir())
