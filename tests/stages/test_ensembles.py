"""Ensembles of every kind as a user walks with them: killed and resumed, frozen, opened, predicted with, exported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import run_command

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["split=kfold", "vault=batch", "vault.k=5", "check=none", "logger=none", "threads=1", "model.dropout=0.1"]
CYCLES = ["schedule=cosine_restarts", "schedule.first_cycle_epochs=2", "schedule.cycle_multiplier=1", "max_epochs=10"]
KINDS = {
    "folds": ["ensemble=folds", "ensemble.temperature=fit", "max_epochs=4"],
    "snapshots": ["ensemble=snapshots", "ensemble.temperature=fit", "ensemble.combine=logits", *CYCLES],
    "seeds": ["ensemble=seeds", "ensemble.size=5", "ensemble.weights=[1,2,1,1,1]", "max_epochs=4"],
    "top_k": ["ensemble=top_k", "ensemble.runs=seeds/members", "ensemble.size=5", "ensemble.combine=logits"],
    "members": ["ensemble=members", "ensemble.runs=seeds/members", "ensemble.weights=greedy"],
}
NUM_TEST_DIGITS = 359
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def environment(work: Path) -> dict[str, str]:
    return {**os.environ, "HOLDFAST_HOME": str(work.with_name(f"{work.name}-home")), "COLUMNS": "200"}


def typed(work: Path, *words: str) -> str:
    done = run_command(*words, cwd=work, environment=environment(work))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def record(folder: Path) -> dict[str, Any]:
    fields = json.loads((folder / "run.json").read_text())
    assert isinstance(fields, dict)
    return fields


@pytest.fixture(scope="module")
def ensembles(work: Path) -> list[str]:
    """An ensemble of every kind, of five members each but where greedy weights leave some out."""
    for name, words in KINDS.items():
        typed(work, "train", *WORDS, *words, f"hydra.run.dir={name}")
        ensemble = record(work / name)["ensemble"]
        assert len(ensemble["members"]) + len(ensemble["left_out"]) == 5
    return list(KINDS)


def test_each_is_frozen_and_opened(work: Path, ensembles: list[str]) -> None:
    frozen = json.loads(typed(work, "holdfast", "freeze", *ensembles, "--json"))
    opened = json.loads(typed(work, "holdfast", "open", frozen["selection"], "--json"))
    assert opened["n"] == NUM_TEST_DIGITS
    assert len(opened["models"]) == len(KINDS)
    assert all(model["metrics"]["accuracy"]["value"] > 0.8 for model in opened["models"])


def test_each_predicts_and_is_exported(work: Path, ensembles: list[str]) -> None:
    np.save(work / "new.npy", np.random.default_rng(0).integers(0, 17, (7, 8, 8, 1)).astype(np.uint8))
    for name in ensembles:
        typed(work, "holdfast", "predict", name, "--input", "new.npy", "--output", f"{name}.jsonl")
        rows = [json.loads(line) for line in (work / f"{name}.jsonl").read_text().splitlines()]
        assert len(rows) == 7
        assert all(0 <= row["disagreement"] <= 1 and 0 < row["entropy"] < np.log(10) for row in rows)
        typed(work, "holdfast", "export", name, "--format", "safetensors")
        description = json.loads((work / name / "export" / "model.safetensors.json").read_text())
        assert description["check"]["max_difference"] < 1e-4
        assert description["temperature"] == record(work / name)["ensemble"]["temperature"]
        page = typed(work, "holdfast", "report", name) and (work / name / "report.html").read_text()
        assert "Members" in page


def test_a_torch_program_holds_weights_and_temperature(work: Path, ensembles: list[str]) -> None:
    typed(work, "holdfast", "export", "snapshots", "--format", "torch_export")
    description = json.loads((work / "snapshots" / "export" / "model.pt2.json").read_text())
    assert description["check"]["max_difference"] < 1e-4
    assert description["temperature"] != 1


@pytest.mark.parametrize(
    ("kind", "killed", "alone"),
    [
        (["ensemble=folds", "max_epochs=40"], "members/2", ["split.fold=2", "max_epochs=40"]),
        (
            ["ensemble=snapshots", *CYCLES[:3], "max_epochs=90", "schedule.first_cycle_epochs=30"],
            "members/1",
            [*CYCLES[:3], "max_epochs=90", "schedule.first_cycle_epochs=30"],
        ),
    ],
    ids=["folds", "snapshots"],
)
def test_an_ensemble_that_is_killed_goes_on(work: Path, kind: list[str], killed: str, alone: list[str]) -> None:
    name = kind[0].partition("=")[2]
    folder = work / f"killed-{name}"
    with (work / f"{name}.log").open("wb") as log:
        command = [sys.executable, str(ROOT / "train.py"), *WORDS, *kind, f"hydra.run.dir={folder}"]
        process = subprocess.Popen(command, cwd=work, env=environment(work), stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        begun = folder / killed / "run.json"
        if begun.exists() and record(folder / killed)["status"] == "running" and _num_epochs(folder / killed) >= 5:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL, (work / f"{name}.log").read_text()
    before = (folder / "members" / "0" / "run.json").read_bytes()
    typed(work, "train", f"resume={folder}")
    assert record(folder)["status"] == "completed"
    assert (folder / "members" / "0" / "run.json").read_bytes() == before, "what is done is not done again"
    assert record(folder / killed)["resumes"], "a member goes on from its last epoch"

    typed(work, "train", *WORDS, *alone, f"hydra.run.dir=alone-{name}")
    last = killed if name == "folds" else "members/2"
    histories = [_without_time(record(place)["history"]) for place in (folder / last, work / f"alone-{name}")]
    assert histories[0] == histories[1], "a member is a single run, bit for bit"


def _num_epochs(folder: Path) -> int:
    return len(record(folder)["history"])


def _without_time(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]
