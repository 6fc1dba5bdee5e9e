"""Runs that are killed or stopped go on to the result of a run that was left alone, bit for bit on a CPU."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NUM_EPOCHS = 120
OVERRIDES = [
    *(f"max_epochs={NUM_EPOCHS}", "model.dropout=0.2", "schedule=cosine", "early_stopping=patience"),
    *("early_stopping.num_epochs=100", "monitor=val/accuracy", "optimizer=momentum", "lr=0.01"),
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@dataclass
class Started:
    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def ends_with(self) -> int:
        return self.process.wait(300)


def start(work: Path, *words: str) -> Started:
    environment = {**os.environ, "HOLDFAST_HOME": str(work.with_name(f"{work.name}-home"))}
    name = secrets.token_hex(4)
    files = work / f"{name}.out", work / f"{name}.err"
    with files[0].open("wb") as stdout, files[1].open("wb") as stderr:
        command = [sys.executable, str(ROOT / "train.py"), *words]
        return Started(subprocess.Popen(command, cwd=work, env=environment, stdout=stdout, stderr=stderr), *files)


def record(folder: Path) -> dict[str, Any]:
    fields = json.loads((folder / "run.json").read_text())
    assert isinstance(fields, dict)
    return fields


def wait_for_epoch(started: Started, folder: Path, epoch: int) -> None:
    deadline = time.monotonic() + 120
    while started.process.poll() is None and time.monotonic() < deadline:
        if (folder / "run.json").exists() and len(record(folder)["history"]) >= epoch:
            return
        time.sleep(0.01)
    raise AssertionError(f"epoch {epoch} did not come: {started.stderr.read_text()}")


def without_time(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]


@pytest.fixture(scope="module")
def left_alone(work: Path) -> dict[str, Any]:
    started = start(work, *OVERRIDES, "hydra.run.dir=left_alone")
    assert started.ends_with() == 0, started.stderr.read_text()
    return record(work / "left_alone")


def test_five_kills_change_nothing(work: Path, left_alone: dict[str, Any]) -> None:
    import torch

    folder = work / "killed"
    started = start(work, *OVERRIDES, "hydra.run.dir=killed")
    for epoch in (7, 23, 41, 60, 88):
        wait_for_epoch(started, folder, epoch)
        started.process.send_signal(signal.SIGKILL)
        assert started.ends_with() == -signal.SIGKILL
        started = start(work, "resume=killed")
    assert started.ends_with() == 0, started.stderr.read_text()
    fields = record(folder)
    assert fields["status"] == "completed"
    assert len(fields["resumes"]) == 5
    assert fields["best"] == left_alone["best"]
    assert without_time(fields["history"]) == without_time(left_alone["history"])
    weights = [torch.load(work / name / "checkpoints" / "last.ckpt") for name in ("killed", "left_alone")]
    for name, value in weights[0]["state_dict"].items():
        assert torch.equal(value, weights[1]["state_dict"][name]), name
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + len(left_alone["history"])
    assert [entry["epoch"] for entry in fields["history"]] == list(range(1, len(fields["history"]) + 1))
    assert len(list((folder / "checkpoints").iterdir())) == 2


def test_tensorboard_shows_no_epoch_twice(work: Path, left_alone: dict[str, Any]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name in ("left_alone", "killed"):
        events = EventAccumulator(str(work / name / "tensorboard"))
        events.Reload()
        steps = [event.step for event in events.Scalars("val/loss")]
        assert steps == sorted(set(steps))
        assert len(steps) == len(left_alone["history"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_that_can_go_on(
    work: Path, left_alone: dict[str, Any], number: signal.Signals, code: int
) -> None:
    folder = work / f"stopped{code}"
    started = start(work, *OVERRIDES, f"hydra.run.dir={folder.name}")
    wait_for_epoch(started, folder, 5)
    started.process.send_signal(number)
    assert started.ends_with() == code
    assert f"resume={folder.name}" in started.stderr.read_text()
    assert record(folder)["status"] == "interrupted"
    assert start(work, f"resume={folder.name}").ends_with() == 0
    assert record(folder)["best"] == left_alone["best"]


def test_a_signal_lets_no_further_job_of_a_sweep_start(work: Path) -> None:
    started = start(work, "-m", "seed=0,1,2", "max_epochs=3000", "hydra.sweep.dir=sweep")
    wait_for_epoch(started, work / "sweep" / "0", 3)
    started.process.send_signal(signal.SIGINT)
    assert started.ends_with() == 130
    assert record(work / "sweep" / "0")["status"] == "interrupted"
    assert not (work / "sweep" / "1").exists()


def test_the_job_of_a_killed_sweep_stops_and_can_go_on(work: Path) -> None:
    started = start(work, "-m", *OVERRIDES, "seed=0,1", "hydra.sweep.dir=orphaned")
    wait_for_epoch(started, work / "orphaned" / "0", 1)
    started.process.kill()
    started.process.wait()
    deadline = time.monotonic() + 30
    while record(work / "orphaned" / "0")["status"] == "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert record(work / "orphaned" / "0")["status"] == "interrupted"
    assert not (work / "orphaned" / "1").exists()


def test_a_strangers_folder_trusts_nothing_here(work: Path, left_alone: dict[str, Any]) -> None:
    folder = work / "strange"
    shutil.copytree(work / "left_alone", folder)
    (work / "evil.py").write_text("import pathlib\npathlib.Path('pwned').touch()\ndef f(): pass\n")
    fields = record(folder)
    fields["status"] = "interrupted"
    fields["config"]["trusted_modules"] = ["evil"]
    (folder / "run.json").write_text(json.dumps(fields))
    words = [*OVERRIDES, "trusted_modules=[evil]", "++model._target_=evil.f"]
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {word}\n" for word in words))
    started = start(work, "resume=strange")
    assert started.ends_with() == 2
    assert "trusts evil, and you have not on this machine" in started.stderr.read_text()
    (folder / ".hydra" / "overrides.yaml").write_text("- hydra.callbacks.x._target_=evil.f\n")
    fields["config"]["trusted_modules"] = []
    (folder / "run.json").write_text(json.dumps(fields))
    started = start(work, "resume=strange")
    assert started.ends_with() == 2
    assert "which a run does not record" in started.stderr.read_text()
    assert not (work / "pwned").exists()


def test_a_sweep_into_a_used_folder_is_refused(work: Path) -> None:
    words = ("-m", "seed=1,2", "max_epochs=1", "hydra.sweep.dir=used")
    assert start(work, *words).ends_with() == 0
    before = {path: path.read_bytes() for path in (work / "used").rglob("*.yaml")}
    started = start(work, *words)
    assert started.ends_with() == 2
    assert (
        "hydra.sweep.dir: used holds a sweep already; next: -m resume=used goes on with it"
        in started.stderr.read_text()
    )
    assert {path: path.read_bytes() for path in (work / "used").rglob("*.yaml")} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resume=left_alone"], "is completed"),
        (["resume=killed", "lr=3"], "lr=3: would change a run that goes on; allowed: trainer=..., logger=..."),
        (["resume=left_alone/checkpoints"], "is not a run"),
        (["resume=nowhere"], "there is no folder nowhere"),
        (["-m", "resume=stopped130", "seed=1"], "would change a run that goes on"),
    ],
)
def test_what_cannot_go_on_is_told_in_a_line(
    work: Path, left_alone: dict[str, Any], words: list[str], message: str
) -> None:
    started = start(work, *words)
    assert started.ends_with() == 2
    lines = started.stderr.read_text().strip().splitlines()
    assert message in lines[0]
    assert all(line.startswith("error: ") for line in lines)
