"""Sweeps in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.experiment.compose import OptionsLoader, options_loader
from holdfast.search.compose import compose_sweep, plan_sweep
from holdfast.search.record import SweepRecord

GRID, RANDOM, BAYES = (f"hydra/sweeper={name}" for name in ("grid", "random", "bayes"))
RATE = "lr=tag(log,interval(1e-5,1e-1))"


@pytest.fixture
def loader(project: Path) -> OptionsLoader:
    return options_loader()


def plan(loader: OptionsLoader, *words: str) -> SweepRecord:
    record = plan_sweep(compose_sweep(words, loader), loader)
    assert record is not None
    return record
