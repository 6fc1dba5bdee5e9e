"""Attack 18: `kill -9` at each step of sealing, freezing and opening."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import STEPS, Frozen, Run, answer, ledger_types, strike

pytestmark = pytest.mark.slow


def test_sealing(tmp_path: Path, environment: dict[str, str]) -> None:
    assert strike("kill", "seal", tmp_path / "home", environment=environment) > 50


def test_preparing(tmp_path: Path, environment: dict[str, str]) -> None:
    assert strike("kill", "prepare", tmp_path / "home", environment=environment) > 80


def test_freezing(trained: None, project: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    assert strike("kill", "freeze", tmp_path / "home", project / "run0", environment=environment) > 15


def test_opening(trained: None, project: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    runs = project / "run0", project / "run1"
    assert strike("kill", "open", tmp_path / "home", *runs, environment=environment) > 30


def test_a_whole_opening_that_is_killed_goes_on(
    frozen: Frozen, holdfast: Run, project: Path, environment: dict[str, str]
) -> None:
    selection, other = frozen(2)
    home = Path(environment["HOLDFAST_HOME"])
    for step in STEPS[:2]:
        process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.cli.main", "open", selection], cwd=project, env=environment
        )
        while step not in ledger_types(home):
            assert process.poll() is None
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert holdfast("open", other).returncode == 3
    opened = answer(holdfast("open", selection, "--json"))
    assert opened["opening"] == 1
    assert [type for type in ledger_types(home) if type.startswith("open.")] == STEPS
    assert answer(holdfast("vault", "verify", "--json"))["ok"]
