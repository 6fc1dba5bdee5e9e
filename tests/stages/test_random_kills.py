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
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killed_sweeps import EPOCHS, value_of

from holdfast.core.child import OURS
from holdfast.core.run_record import read_run
from holdfast.core.sweep_folder import SWEEP_FILE
from holdfast.search.leaderboard import leaderboard_of
from holdfast.search.record import SweepRecord, read_sweep
from holdfast.search.space import Dimension, Space
from holdfast.search.study import Study

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked for in /proc"),
]
NUM_MASTERS = 3
KINDS = ("master", "worker", "warm", "run")  # the processes of a sweep that trains
NUM_KILLS = int(os.environ.get("KILLS", "16"))


def kinds_in_random_order(num_kills: int, kinds: Sequence[str]) -> list[str]:
    """As many of each kind."""
    drawn = [*kinds] * (num_kills // len(kinds))
    random.Random(0).shuffle(drawn)
    return drawn


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

    kinds = kinds_in_random_order(NUM_KILLS, ["worker", "master"])
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
    num_kills, num_epochs, folder = max(4, NUM_KILLS // 10), 3, tmp_path / "killed"
    space = ["-m", "hydra/sweeper=random", "lr=tag(log,interval(1e-4,1e-2))", "model.dropout=interval(0,0.5)"]
    trained = [f"max_epochs={num_epochs}", "model.hidden=[1024,1024]", "batch_size=4", "logger=none", "check=none"]
    workers = ["hydra.launcher.workers=2", "hydra.launcher.lease_s=5"]
    environment = {**os.environ, "HOLDFAST_HOME": str(tmp_path.with_name(f"{tmp_path.name}-home"))}

    def start(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(ROOT / "train.py"), *words]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)

    draw, kinds, killed = random.Random(0), kinds_in_random_order(num_kills, KINDS), Counter[str]()
    finished: dict[int, str] = {}
    with (tmp_path / "log").open("wb") as log:
        first = [*space, "sweep.trials=4", *trained, *workers, "hydra.sweep.dir=killed"]
        master = start(*first)
        while kinds:
            time.sleep(draw.uniform(3.0, 15.0))
            if master.poll() is not None:
                more = ["sweep.add=4"] if master.returncode == 0 else []
                has_begun = (folder / SWEEP_FILE).exists()
                master = start(*(["-m", "resume=killed", *more] if has_begun else first))
            if victims := processes_of(master.pid)[kinds[-1]]:
                os.kill(draw.choice(victims), signal.SIGKILL)
                killed[kinds.pop()] += 1
            for row in leaderboard_of(folder).rows if (folder / SWEEP_FILE).exists() else ():
                if row.status == "completed":
                    (run,) = row.runs
                    assert finished.setdefault(row.number, read_run(run)["finished"]) == read_run(run)["finished"]
        master.wait(300)
        codes = [master.returncode]
        while codes[-1] != 0 and len(codes) < 4:  # trials that have failed are tried again
            codes.append(start("-m", "resume=killed").wait(300))
        assert codes[-1] == 0, (tmp_path / "log").read_text()
        num_trials = read_sweep(folder).trials
        alone = start(*space, f"sweep.trials={num_trials}", *trained, *workers, "hydra.sweep.dir=alone")
        assert alone.wait(300) == 0, (tmp_path / "log").read_text()
    results = [
        [(trial.number, trial.status, trial.value, trial.overrides) for trial in Study.open(tmp_path / name).trials()]
        for name in ("killed", "alone")
    ]
    assert results[0] == results[1]
    assert [number for number, *_ in results[0]] == list(range(num_trials))
    resumes = 0
    for number in range(num_trials):
        record, other = (read_run(tmp_path / name / str(number)) for name in ("killed", "alone"))
        assert record["status"] == "completed"
        assert record["best"] == other["best"]
        assert [entry["epoch"] for entry in record["history"]] == list(range(1, num_epochs + 1))
        assert finished.get(number, record["finished"]) == record["finished"], "it was trained again"
        resumes += len(record["resumes"])
    print(f"killed {dict(killed)}; {num_trials} trials, which went on {resumes} times; exit codes {codes}")
    assert resumes >= num_kills // 4  # the other kills came before a run had begun


def processes_of(master: int) -> dict[str, list[int]]:
    """The processes of a sweep by their kind: its master, its workers, the warm processes and the runs they fork."""
    workers = children(master, b"holdfast.search.worker_process")
    warm = [process for worker in workers for process in children(worker, b"holdfast.experiment.warm")]
    runs = [process for parent in warm for process in children(parent, b"holdfast.experiment.warm")]
    return {"master": [master], "worker": workers, "warm": warm, "run": runs}


def children(pid: int, command: bytes) -> list[int]:
    """The child processes that have a word in their command line."""
    with contextlib.suppress(OSError):
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in pids if command in Path(f"/proc/{child}/cmdline").read_bytes()]
    return []
