"""Attacks as an attacker would carry them out: whole commands, other people's code, signals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = ["open.intent", "open.predicted", "open.result"]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty folder to work in."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of the attacker's shell: a home of its own."""
    return {**os.environ, "HOLDFAST_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT / "src")}


@pytest.fixture
def train(project: Path, environment: dict[str, str]) -> Run:
    def call(*overrides: str, cwd: Path = project, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "train.py"), "max_epochs=1", "trainer=cpu", *overrides]
        return subprocess.run(
            command, cwd=cwd, env={**environment, **changes}, capture_output=True, text=True, check=False
        )

    return call


@pytest.fixture
def holdfast(project: Path, environment: dict[str, str]) -> Run:
    def call(*words: str, cwd: Path = project, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "holdfast.cli.main", *words]
        return subprocess.run(
            command, cwd=cwd, env={**environment, **changes}, capture_output=True, text=True, check=False
        )

    return call


@pytest.fixture
def freeze(train: Run, holdfast: Run) -> Callable[..., str]:
    """Train a run and freeze it; the selection's id."""

    def call(name: str, *overrides: str) -> str:
        done = train(f"hydra.run.dir={name}", *overrides)
        assert done.returncode == 0, done.stderr
        return str(answer(holdfast("freeze", name, "--json"))["selection"])

    return call


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON a command printed."""
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, found
    return found


def ledger_types(home: Path) -> list[str]:
    """The types of all entries of all ledgers, as they lie there."""
    return [json.loads(path.read_bytes())["type"] for path in sorted(home.glob("vaults/*/ledger/*.json"))]


def strike(how: str, act: str, home: Path, *runs: Path, environment: dict[str, str]) -> int:
    """How many steps an act has, after `steps.py` has struck at each and found it mended."""
    command = [sys.executable, str(Path(__file__).with_name("steps.py")), how, act, str(home), *map(str, runs)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def write_callback(project: Path, code: str, name: str) -> None:
    """A user's module `spy.py` and the option `callbacks=spy` that names its callback."""
    (project / "spy.py").write_text(code)
    (project / "conf" / "callbacks").mkdir(parents=True, exist_ok=True)
    (project / "conf" / "callbacks" / "spy.yaml").write_text(f"spy:\n  _target_: spy.{name}\n")
