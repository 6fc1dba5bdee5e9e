from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

import holdfast
from holdfast.core.errors import InputError, RunFailed
from holdfast.core.run_record import METRICS_FILE_NAME
from holdfast.search.study import Study
from holdfast.search.sweep import DEATHS_IN_A_ROW, run_study

from .test_study import sweep


class Worker:
    """Stands in for the process of a worker that trains one epoch at most, and dies."""

    def __init__(self, folder: Path, name: str, epochs: int) -> None:
        self.folder, self.name, self.epochs = folder, name, epochs

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def answer(self, timeout_s: float) -> Any:
        study = Study.open(self.folder, worker=self.name)
        trial = study.ask()
        assert trial is not None
        trial.folder.mkdir(exist_ok=True)
        metrics = trial.folder / METRICS_FILE_NAME
        lines = metrics.read_text().splitlines() if metrics.exists() else []
        if len(lines) < self.epochs:
            metrics.write_text("\n".join([*lines, "1.0"]))
            raise RunFailed("worker", "was killed")
        if self.epochs:
            study.tell(trial, "completed", 1.0)
            return {"interrupted": None}, []
        raise RunFailed("worker", "was killed")


class Launcher:
    def __init__(self, epochs: int) -> None:
        self.epochs, self.num_started = epochs, 0

    def start_workers(self, folder: Path, name: str) -> Any:
        self.num_started += 1
        return Worker(folder, name, self.epochs)


def test_workers_get_ready_while_a_sweep_is_checked_and_end_with_a_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[str] = []

    class Process:
        def __enter__(self) -> Process:
            events.append("started")
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            events.append("ended")

    def check(*_: object) -> NoReturn:
        events.append("checked")
        raise InputError("lr", "is wrong")

    monkeypatch.setattr("holdfast.search.worker_process.start_process", Process)
    monkeypatch.setattr("holdfast.search.compose.check_sweep", check)
    for sweeper, expected in (
        ("grid", ["started", "checked", "ended"]),
        ("basic", ["started", "ended", "checked", "ended"]),  # it starts no workers
    ):
        events.clear()
        with pytest.raises(InputError, match="is wrong"):
            holdfast.sweep(["lr=0.1,0.2", f"hydra/sweeper={sweeper}"])
        assert events == expected


def test_workers_that_die_are_replaced_as_long_as_they_bring_a_trial_further(tmp_path: Path) -> None:
    launcher = Launcher(epochs=2 * DEATHS_IN_A_ROW)
    outcome = run_study(sweep(tmp_path, trials=1), launcher)
    assert (outcome.num_jobs, outcome.failures, outcome.stop_reason) == (1, {}, None)
    assert launcher.num_started == 2 * DEATHS_IN_A_ROW + 1


def test_a_sweep_ends_where_workers_die_one_after_the_other_and_train_nothing(tmp_path: Path) -> None:
    launcher = Launcher(epochs=0)
    with pytest.raises(RunFailed, match="was killed"):
        run_study(sweep(tmp_path, trials=1), launcher)
    assert launcher.num_started == DEATHS_IN_A_ROW
