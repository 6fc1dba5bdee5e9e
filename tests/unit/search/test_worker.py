"""A worker that takes up trials whose runs have begun before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.core.run_record import RunRecord
from holdfast.experiment.compose import OptionsLoader
from holdfast.search.study import Study
from holdfast.search.worker import Worker

from .conftest import GRID, plan


def write_run(folder: Path, status: str, value: float) -> None:
    folder.mkdir(parents=True)
    record = RunRecord.create(folder, monitor="val/loss", mode="min")
    best = {"monitor": "val/loss", "mode": "min", "value": value, "epoch": 1, "checkpoint": None, "metrics": {}}
    record.finish(status, "it was told", best=best)


def test_a_run_that_has_a_result_is_told_and_one_that_has_failed_is_tried_again(
    loader: OptionsLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("mine").absolute()
    plan(loader, GRID, "lr=0.1,0.2,0.3").create(folder)
    write_run(folder / "0", "completed", 0.5)
    write_run(folder / "1", "failed", 0.25)
    study = Study.open(folder)
    worker: Any = Worker(study, loader, folder)
    monkeypatch.setattr(worker, "_experiment", lambda trial, number, folder: folder)
    experiments = worker._experiments()
    assert [next(experiments), next(experiments)] == [folder / "1", folder / "2"]
    assert [(trial.status, trial.value) for trial in study.trials()] == [
        ("completed", 0.5),
        ("running", None),
        ("running", None),
    ]
