"""Small ensembles on digits, trained in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.experiment.experiment import Experiment
from holdfast.experiment.run import Run

WORDS = ["trainer=cpu", "trainer.precision=64-true", "check=none", "logger=none", "model.hidden=[16]", "threads=1"]
WORDS += ["data.subset=200", "max_epochs=2"]
Train = Callable[..., Run]


@pytest.fixture(autouse=True)
def _home(home_with_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(home_with_digits))
    monkeypatch.chdir(tmp_path)  # where the lock is written


def train_in(folder: Path, *words: str) -> Run:
    """Check and run a small experiment."""
    experiment = Experiment.compose([*WORDS, *words, f"hydra.run.dir={folder}"])
    experiment.check()
    return experiment.run()


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """train(name, *overrides) trains in a folder of that name."""
    return lambda name, *words: train_in(tmp_path / name, *words)
