"""Masters and workers of sweeps are killed at random: no trial is lost, none is trained twice, and all can be read.

The slow tier kills a few. `KILLS=200 pytest -m slow tests/stages/test_random_kills.py` kills 200 in each storage, and
20 of a sweep that trains.
"""

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
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killed_sweeps import EPOCHS, value_of

from holdfast.core.child import OURS
from holdfast.search.record import SweepRecord, read_sweep
from holdfast.search.space import Dimension, Space
from holdfast.search.study import Study

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked for in /proc"),
]
NUM_MASTERS = 3
NUM_KILLS = int(os.environ.get("KILLS", "16"))


def in_random_order(num_kills: int) -> list[str]:
    """As many workers as masters."""
    kinds = ["worker", "master"] * (num_kills // 2)
    random.Random(0).shuffle(kinds)
    return kinds


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
def test_kills_lose_and_repeat_nothing(tmp_path: Path, storage: str | None) -> None:
    folder = tmp_path / "sweep"
    write_sweep(folder, 5000, storage=None if storage is None else storage.format(tmp_path))
    draw = random.Random(0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([OURS, str(ROOT / "tests" / "stages")])}

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, str(ROOT / "tests" / "stages" / "killed_sweeps.py"), str(folder)]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    kinds = in_random_order(NUM_KILLS)
    epochs_before = 0
    with (tmp_path / "log").open("wb") as log:
        masters = [start() for _ in range(NUM_MASTERS)]
        while kinds:
            time.sleep(draw.uniform(0.02, 0.6))
            for number, master in enumerate(masters):
                if master.poll() is not None:
                    masters[number] = start()
            epochs_noted = sum(path.stat().st_size for path in folder.glob("*/log"))
            if epochs_noted > epochs_before and (pairs := training(folder)):
                epochs_before = epochs_noted
                os.kill(draw.choice(pairs)[kinds.pop() == "master"], signal.SIGKILL)
        for master in masters:
            master.kill()
            master.wait()
        num_trials = len(Study.open(folder).trials())
        replace(read_sweep(folder), trials=num_trials).rewrite(folder)  # what was begun is brought to its end
        assert start().wait(300) == 0, (tmp_path / "log").read_text()
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
    print(f"{NUM_KILLS} kills, {num_trials} trials, {taken_over} were taken over")
    assert taken_over >= NUM_KILLS // 8
    assert not list((folder / "study" / "leases").iterdir())


def test_kills_of_a_sweep_that_trains_lose_and_repeat_nothing(tmp_path: Path) -> None:
    num_kills, num_epochs = max(4, NUM_KILLS // 10), 40
    words = [
        "-m",
        "lr=0.003,0.01,0.03,0.1",
        "seed=0,1,2",
        f"max_epochs={num_epochs}",
        "model.hidden=[8]",
        "logger=none",
    ]
    words += ["hydra.launcher.workers=2", "hydra.launcher.lease_s=5", "model.dropout=0.1", "check=none"]
    environment = {**os.environ, "HOLDFAST_HOME": str(tmp_path.with_name(f"{tmp_path.name}-home"))}

    def start(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(ROOT / "train.py"), *words]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)

    def records(name: str) -> list[dict[str, Any]]:
        return [json.loads((tmp_path / name / str(number) / "run.json").read_text()) for number in range(12)]

    draw, kinds = random.Random(0), in_random_order(num_kills)
    with (tmp_path / "log").open("wb") as log:
        assert start(*words, "hydra.sweep.dir=alone").wait(300) == 0, (tmp_path / "log").read_text()
        master = start(*words, "hydra.sweep.dir=killed")
        while kinds:
            time.sleep(draw.uniform(0.1, 1.0))
            if master.poll() is not None:
                assert master.returncode != 0, "it came to its end before all kills"
                master = start("-m", "resume=killed")
            workers = [pid for pid in children(master.pid) if b"holdfast.search.worker" in command_of(pid)]
            if workers and any(
                b"warm" in command_of(pid) and children(pid) for pid in children(workers[0])
            ):  # it trains
                time.sleep(draw.uniform(0.0, 1.0))
                os.kill(workers[0] if kinds.pop() == "worker" else master.pid, signal.SIGKILL)
        code = master.wait(300)
        if code != 0:  # it was killed, or gave up after workers that were all killed before they had trained an epoch
            code = start("-m", "resume=killed").wait(300)
        assert code == 0, (tmp_path / "log").read_text()
    assert sum(len(record["resumes"]) for record in records("killed")) >= num_kills // 2
    for killed, alone in zip(records("killed"), records("alone"), strict=True):
        assert killed["status"] == "completed"
        assert killed["best"] == alone["best"]
        assert [entry["epoch"] for entry in killed["history"]] == list(range(1, num_epochs + 1))
    results = [
        [(trial.number, trial.status, trial.value) for trial in Study.open(tmp_path / name).trials()]
        for name in ("killed", "alone")
    ]
    assert results[0] == results[1]


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
