"""Attacks as an attacker would carry them out: whole commands, other people's code, signals.

What many attacks begin with, runs that were trained and frozen, is made once in a session and copied for each.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import run_command

ROOT = Path(__file__).resolve().parents[2]
STEPS = ["open.intent", "open.predicted", "open.result"]
NUM_RUNS = 3
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]
Frozen = Callable[[int], list[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty folder to work in."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables of the attacker's shell: a home of its own."""
    return environment_of(tmp_path / "home")


@pytest.fixture
def train(project: Path, environment: dict[str, str]) -> Run:
    def call(*overrides: str, cwd: Path = project, **changes: str) -> Done:
        return run_training(*overrides, cwd=cwd, environment={**environment, **changes})

    return call


@pytest.fixture
def holdfast(project: Path, environment: dict[str, str]) -> Run:
    def call(*words: str, cwd: Path = project, **changes: str) -> Done:
        return run_holdfast(*words, cwd=cwd, environment={**environment, **changes})

    return call


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`project` with run0, run1 and run2, of different seeds, and the `home` they were trained in; nothing frozen."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "project").mkdir()
    for seed in range(NUM_RUNS):
        overrides = (f"hydra.run.dir=run{seed}", f"seed={seed}")
        done = run_training(*overrides, cwd=folder / "project", environment=environment_of(folder / "home"))
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def frozen_once(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The same with the first so many runs frozen; `selections.json` beside project and home has their ids."""
    (trained_once / "selections.json").write_text("[]")

    @functools.cache
    def folder_of(number: int) -> Path:
        if number == 0:
            return trained_once
        before, folder = folder_of(number - 1), tmp_path_factory.mktemp(f"frozen{number}")
        shutil.copytree(before, folder, dirs_exist_ok=True)
        environment = environment_of(folder / "home")
        done = run_holdfast("freeze", f"run{number - 1}", "--json", cwd=folder / "project", environment=environment)
        selections = [*json.loads((before / "selections.json").read_text()), answer(done)["selection"]]
        (folder / "selections.json").write_text(json.dumps(selections))
        # The ledger names the project that froze: it is moved, so that no copy reaches the lock of the others.
        return folder.rename(folder.with_name(f"{folder.name}-kept"))

    return folder_of


@pytest.fixture
def frozen(frozen_once: Callable[[int], Path], tmp_path: Path, project: Path) -> Frozen:
    """Begin with run0, run1 and run2 in the project, some of them frozen; their selections."""

    def call(number: int) -> list[str]:
        folder = frozen_once(number)
        shutil.copytree(folder / "home", tmp_path / "home")
        shutil.copytree(folder / "project", project, dirs_exist_ok=True)
        selections: list[str] = json.loads((folder / "selections.json").read_text())
        return selections

    return call


@pytest.fixture
def trained(frozen: Frozen) -> None:
    """Begin with three runs in the project, none of them frozen."""
    frozen(0)


@pytest.fixture
def freeze(train: Run, holdfast: Run) -> Callable[..., str]:
    """Train a run and freeze it; the selection's id."""

    def call(name: str, *overrides: str) -> str:
        done = train(f"hydra.run.dir={name}", *overrides)
        assert done.returncode == 0, done.stderr
        return str(answer(holdfast("freeze", name, "--json"))["selection"])

    return call


def environment_of(home: Path) -> dict[str, str]:
    return {**os.environ, "HOLDFAST_HOME": str(home), "PYTHONPATH": str(ROOT / "src")}


def run_training(*overrides: str, cwd: Path, environment: dict[str, str]) -> Done:
    return run_command("train", "max_epochs=1", "trainer=cpu", *overrides, cwd=cwd, environment=environment)


def run_holdfast(*words: str, cwd: Path, environment: dict[str, str]) -> Done:
    return run_command("holdfast", *words, cwd=cwd, environment=environment)


def answer(done: Done) -> dict[str, Any]:
    """The JSON a command printed."""
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, answer
    return answer


def ledger_entries(home: Path) -> list[dict[str, Any]]:
    """All entries of all ledgers, as they lie there."""
    return [json.loads(path.read_bytes()) for path in sorted(home.glob("vaults/*/ledger/*.json"))]


def ledger_types(home: Path) -> list[str]:
    """The types of all entries of all ledgers."""
    return [entry["type"] for entry in ledger_entries(home)]


def strike(how: str, act: str, home: Path, *runs: Path, environment: dict[str, str]) -> int:
    """The number of steps of an act, after `steps.py` has struck at each and found it mended."""
    command = [sys.executable, str(Path(__file__).with_name("steps.py")), how, act, str(home), *map(str, runs)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def write_callback(project: Path, code: str, name: str) -> None:
    """A user's module `spy.py` and the option `callbacks=spy` that names its callback."""
    (project / "spy.py").write_text(code)
    (project / "conf" / "callbacks").mkdir(parents=True, exist_ok=True)
    (project / "conf" / "callbacks" / "spy.yaml").write_text(f"spy:\n  _target_: spy.{name}\n")


def write_model(project: Path, code: str, name: str) -> list[str]:
    """A user's module `mine.py` and the option `model=mine` that names its class; the overrides that choose it."""
    (project / "mine.py").write_text(code)
    (project / "conf" / "model").mkdir(parents=True, exist_ok=True)
    (project / "conf" / "model" / "mine.yaml").write_text(f"_target_: mine.{name}\n")
    return ["model=mine", "trusted_modules=[mine]"]
