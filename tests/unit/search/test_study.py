from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.search.record import GRID, SweepRecord
from holdfast.search.space import Dimension, Space
from holdfast.search.study import FAILURES_IN_A_ROW, LeaseLost, Study, Trial

RATE = Dimension("lr", low=1e-4, high=1e-1, is_log=True)
BATCH = Dimension("batch_size", values=("32", "64", "128"))


def sweep(folder: Path, **changes: Any) -> Path:
    """A sweep's folder with its record."""
    record = SweepRecord(
        typed=[],
        config_dir=None,
        cwd=str(folder),
        hydra=[],
        overrides=["max_epochs=2"],
        space=Space((RATE, BATCH)),
        sampler="TPESampler",
        arguments={},
        seed=0,
        repeats=[[]],
        trials=4,
        on_failure="continue",
        storage=None,
        monitor="val/loss",
        mode="min",
        workers=1,
    )
    folder = folder / "sweep"
    replace(record, **changes).create(folder)
    return folder


def ask(study: Study) -> Trial:
    trial = study.ask()
    assert trial is not None
    return trial


@pytest.mark.parametrize("storage", [None, "sqlite:///{}/trials.db"])
def test_trials_are_asked_for_and_told_of(tmp_path: Path, storage: str | None) -> None:
    folder = sweep(tmp_path, storage=None if storage is None else storage.format(tmp_path))
    one, two = Study.open(folder), Study.open(folder)
    first, second = ask(one), ask(two)
    assert (first.number, second.number) == (0, 1)
    assert first.folder == folder / "0"
    assert [word.partition("=")[0] for word in first.overrides] == ["lr", "batch_size"]
    one.report(first, 1, 0.5)
    one.report(first, 2, 0.25)
    one.tell(first, "completed", 0.25)
    assert [(trial.status, trial.value) for trial in two.trials()] == [("completed", 0.25), ("running", None)]
    two.tell(second, "pruned", 0.75, "it was not promising")
    third, fourth = ask(one), ask(two)
    one.tell(third, "failed", reason="run: was ended by signal 9")
    two.tell(fourth, "failed", reason="train/loss: is nan", has_diverged=True)
    assert one.ask() is None
    assert one.is_over()
    assert one.num_left() == 0
    results = Study.open(folder).trials()
    assert [(trial.number, trial.status, trial.value, trial.reason) for trial in results] == [
        (0, "completed", 0.25, None),
        (1, "pruned", 0.75, "it was not promising"),
        (2, "failed", None, "run: was ended by signal 9"),
        (3, "failed", None, "train/loss: is nan"),
    ]
    assert [trial.overrides for trial in results] == [trial.overrides for trial in (first, second, third, fourth)]


def test_a_sampler_learns_of_trials_that_diverged_and_not_of_those_that_were_killed(tmp_path: Path) -> None:
    study = Study.open(sweep(tmp_path))
    study.tell(ask(study), "failed", reason="train/loss: is nan", has_diverged=True)
    study.tell(ask(study), "failed", reason="run: was ended by signal 9")
    states = [trial.state.name for trial in study._study.trials]
    assert states == ["PRUNED", "WAITING"]


@pytest.mark.parametrize("sampler", [GRID, "quasi_random", "TPESampler"])
def test_a_database_holds_the_points_of_every_sampler(tmp_path: Path, sampler: str) -> None:
    folder = sweep(tmp_path, storage=f"sqlite:///{tmp_path}/trials.db", sampler=sampler, space=Space((BATCH,)))
    study = Study.open(folder)
    points = [ask(study).overrides for _ in range(3)]
    assert [trial.overrides for trial in Study.open(folder).trials()] == points
    assert all(point[0].startswith("batch_size=") for point in points)


@pytest.mark.parametrize("storage", [None, "sqlite:///{}/trials.db"])
def test_a_resumed_sweep_tries_failed_trials_again_behind_all_others(tmp_path: Path, storage: str | None) -> None:
    folder = sweep(tmp_path, storage=None if storage is None else storage.format(tmp_path))
    study = Study.open(folder)
    killed, diverged, raised = ask(study), ask(study), ask(study)
    study.tell(raised, "failed", reason="model: is broken")
    study.tell(killed, "failed", reason="run: its process was ended by signal 9")
    study.tell(diverged, "failed", reason="train/loss: is nan", has_diverged=True)
    assert ask(study).number == 3
    assert study.ask() is None, "this command has tried them"
    replace(study.record, commands=2).rewrite(folder)
    again = Study.open(folder)
    assert again.num_left() == 3
    study.give_back(Trial(3, [], folder / "3"))
    assert [ask(again).number, ask(again), ask(again)] == [3, killed, raised]
    assert [trial.status for trial in again.trials()] == ["running", "failed", "running", "running"]
    again.tell(killed, "completed", 0.5)
    again.tell(raised, "failed", reason="model: is broken")
    assert again.ask() is None
    assert again.num_left() == 1
    replace(study.record, commands=3).rewrite(folder)
    third = Study.open(folder)
    again.give_back(Trial(3, [], folder / "3"))
    assert [ask(third).number, ask(third).number] == [3, 2]
    assert third.ask() is None


def test_failures_of_before_do_not_stop_a_resumed_sweep_before_its_new_trials(tmp_path: Path) -> None:
    folder = sweep(tmp_path, trials=FAILURES_IN_A_ROW)
    study = Study.open(folder)
    for _ in range(FAILURES_IN_A_ROW):
        study.tell(ask(study), "failed", reason="model: is broken")
    assert study.stop_reason() is not None
    replace(study.record, trials=FAILURES_IN_A_ROW + 1, commands=2).rewrite(folder)
    more = Study.open(folder)
    new = ask(more)
    assert new.number == FAILURES_IN_A_ROW
    more.tell(new, "completed", 1.0)
    assert ask(more).number == 0


def test_a_worker_that_is_killed_while_it_tells_leaves_a_trial_to_tell_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sweep(tmp_path, trials=1)
    study = Study.open(folder)
    trial = ask(study)
    with monkeypatch.context() as patch:
        patch.setattr(study, "_end", _killed)
        with pytest.raises(KeyboardInterrupt):
            study.tell(trial, "completed", 0.5)
    other = Study.open(folder)
    assert ask(other) == trial
    other.tell(trial, "completed", 0.5)
    assert not list((folder / "study" / "leases").iterdir())


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_grid_hands_out_its_points(tmp_path: Path) -> None:
    study = Study.open(sweep(tmp_path, space=Space((BATCH,)), sampler="grid", trials=3))
    trials = [ask(study) for _ in range(3)]
    assert [trial.overrides for trial in trials] == [["batch_size=32"], ["batch_size=64"], ["batch_size=128"]]
    assert study.ask() is None
    assert not study.is_over(), "they may come back"
    assert [trial.overrides for trial in study.trials()] == [trial.overrides for trial in trials]


def test_a_trial_without_a_value_is_completed(tmp_path: Path) -> None:
    study = Study.open(sweep(tmp_path))
    study.tell(ask(study), "completed")
    (result,) = study.trials()
    assert (result.status, result.value) == ("completed", None)


def test_a_trial_that_was_given_back_goes_on_as_it_was(tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    study = Study.open(folder)
    trial = ask(study)
    study.report(trial, 1, 0.5)
    study.tell(trial, "interrupted", reason="by a signal")
    (result,) = study.trials()
    assert result.status == "interrupted"
    other = Study.open(folder)
    again = ask(other)
    assert again == trial
    other.report(again, 1, 0.5)
    other.report(again, 2, 0.4)
    other.tell(again, "completed", 0.4)
    assert other._study.trials[0].intermediate_values == {1: 0.5, 2: 0.4}


def test_the_trial_of_a_silent_worker_is_taken_over(tmp_path: Path) -> None:
    folder = sweep(tmp_path, trials=1)
    silent, other = Study.open(folder), Study.open(folder)
    trial = ask(silent)
    assert other.ask() is None
    assert not other.is_over()
    os.utime(folder / "study" / "leases" / "0", (0, 0))
    assert ask(other) == trial
    with pytest.raises(LeaseLost, match="trial 0: this worker was silent for too long"):
        silent.report(trial, 1, 0.5)
    with pytest.raises(LeaseLost):
        silent.tell(trial, "completed", 0.5)
    silent.give_back(trial)
    other.tell(trial, "completed", 0.1)
    assert [result.value for result in other.trials()] == [0.1]


def test_a_worker_that_died_before_it_had_values_leaves_a_trial_with_values(tmp_path: Path) -> None:
    folder = sweep(tmp_path, trials=1)
    dying = Study.open(folder)
    dying._study.ask()
    (result,) = dying.trials()
    assert (result.status, result.overrides) == ("interrupted", [])
    trial = ask(Study.open(folder))
    assert trial.number == 0
    assert len(trial.overrides) == 2


def test_a_trial_whose_workers_are_killed_goes_on_as_often_as_that_happens(tmp_path: Path) -> None:
    folder = sweep(tmp_path, trials=1)
    first = ask(Study.open(folder, worker="worker 0"))
    for death in range(20):
        Study.open(folder).end_leases(f"worker {death}")
        assert ask(Study.open(folder, worker=f"worker {death + 1}")) == first


def test_workers_together_stay_within_the_budget(tmp_path: Path) -> None:
    folder = sweep(tmp_path, trials=5)
    studies = [Study.open(folder) for _ in range(3)]
    trials = [study.ask() for _ in range(3) for study in studies]
    assert [trial.number for trial in trials if trial is not None] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("reasons", "stops"),
    [
        (["data: no such file 1", "data: no such file 2", "data: no such file 3"], False),
        ([f"data: no such file {number}" for number in range(FAILURES_IN_A_ROW)], True),
        ([*["a"] * (FAILURES_IN_A_ROW - 1), "b"], False),
        ([*["a"] * (FAILURES_IN_A_ROW - 1), None, "a"], False),
        (["b", *["a"] * FAILURES_IN_A_ROW], True),
    ],
)
def test_failures_in_a_row_with_one_cause_stop_a_sweep(tmp_path: Path, reasons: list[str | None], stops: bool) -> None:
    folder = sweep(tmp_path, trials=20)
    study = Study.open(folder)
    for reason in reasons:
        trial = ask(study)
        study.tell(trial, "failed" if reason else "completed", None if reason else 1.0, reason)
    assert study.is_over() == stops
    assert (study.ask() is None) == stops
    if stops:
        assert study.stop_reason() == f"5 trials in a row failed: {reasons[-1]}"
        replace(study.record, commands=2).rewrite(folder)
        assert ask(Study.open(folder)).number == len(reasons), "a sweep that goes on begins to count anew"


def test_divergence_stops_a_sweep_only_where_every_trial_diverges(tmp_path: Path) -> None:
    study = Study.open(sweep(tmp_path, trials=20))
    study.tell(ask(study), "completed", 1.0)
    for _ in range(8):
        study.tell(ask(study), "failed", reason="train/loss: is nan", has_diverged=True)
    assert study.stop_reason() is None


def test_divergence_of_every_trial_stops_a_sweep(tmp_path: Path) -> None:
    study = Study.open(sweep(tmp_path, trials=20))
    for number in range(5):
        study.tell(ask(study), "failed", reason=f"train/loss: is nan in step {number}", has_diverged=True)
    assert study.stop_reason() == "5 trials in a row failed: train/loss: is nan in step 4"


def test_one_failure_can_stop_a_sweep(tmp_path: Path) -> None:
    study = Study.open(sweep(tmp_path, on_failure="stop"))
    study.tell(ask(study), "completed", 1.0)
    study.tell(ask(study), "failed", reason="data: is gone")
    assert study.ask() is None
    assert study.stop_reason() == "trial 1 failed: data: is gone"


def test_a_larger_budget_goes_on_with_new_trials(tmp_path: Path) -> None:
    folder = sweep(tmp_path, trials=1)
    study = Study.open(folder)
    study.tell(ask(study), "completed", 1.0)
    replace(study.record, trials=3).rewrite(folder)
    more = Study.open(folder)
    assert more.num_left() == 2
    assert [ask(more).number, ask(more).number] == [1, 2]
