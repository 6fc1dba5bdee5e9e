"""Experiments that are trained together, beside the same ones alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from holdfast.core.errors import Interrupted
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.run import Run
from holdfast.training.checkpoints import read_checkpoint
from holdfast.training.reporter import Stop
from holdfast.training.stacking import stack as stacking
from holdfast.training.stacking import train

WORDS = ["trainer=cpu", "trainer.precision=64-true", "check=none", "logger=none", "model.hidden=[16]", "threads=1"]
WORDS += ["data.subset=200", "model.dropout=0.3"]
Make = Callable[..., list[Experiment]]


@pytest.fixture
def make(home_with_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("HOLDFAST_HOME", str(home_with_digits))
    monkeypatch.chdir(tmp_path)  # where the lock is written
    monkeypatch.setattr("holdfast.training.stacking.together.stack_if_faster", stacking.Stack)

    def experiments(place: str, members: Sequence[Sequence[str]]) -> list[Experiment]:
        return [
            Experiment.compose([*WORDS, f"seed={seed}", *words, f"hydra.run.dir={tmp_path / place / str(seed)}"])
            for seed, words in enumerate(members)
        ]

    return experiments


def assert_same(run: Run, alone: Run) -> None:
    own, other = run.record, alone.record
    assert (own["status"], own["stop_reason"]) == (other["status"], other["stop_reason"])
    assert own["best"]["checkpoint"] == other["best"]["checkpoint"]
    names = [name for name in other["history"][0] if name != "seconds"]
    assert len(own["history"]) == len(other["history"])
    for mine, single in zip(own["history"], other["history"], strict=True):
        assert [mine[name] for name in names] == pytest.approx([single[name] for name in names], abs=1e-8)
    for name in (own["best"]["checkpoint"], "checkpoints/last.ckpt"):
        files = [read_checkpoint(each.folder / name)["state_dict"] for each in (run, alone)]
        assert list(files[0]) == list(files[1])
        for key, value in files[1].items():
            torch.testing.assert_close(files[0][key], value, atol=1e-8, rtol=0.0)
    assert (run.folder / "metrics.csv").read_text().count("\n") == (alone.folder / "metrics.csv").read_text().count(
        "\n"
    )


def test_members_are_single_runs(make: Make) -> None:
    stopping = ["early_stopping=patience", "early_stopping.num_epochs=2", "lr=0.03", "max_epochs=12"]
    members = [
        stopping,
        [*stopping, "schedule=plateau", "schedule.patience=0"],
        ["max_epochs=3", "monitor=val/accuracy"],
    ]
    runs = train(make("stack", members))
    alone = [experiment.run() for experiment in make("alone", members)]
    assert len({len(run.record["history"]) for run in runs}) > 1
    for place, (run, single) in enumerate(zip(runs, alone, strict=True)):
        assert_same(run, single)
        assert run.record["stack"] == {"size": 3, "position": place}
        assert sorted(path.name for path in (run.folder / "checkpoints").iterdir()) == sorted(
            path.name for path in (single.folder / "checkpoints").iterdir()
        )
        assert not (run.folder / "report.html").exists()


def test_a_reporter_prunes_one_member(make: Make) -> None:
    class Once:
        def epoch(self, number: int, metrics: Any) -> Stop | None:
            return Stop("not promising", is_pruned=True) if number == 1 else None

    runs = train(make("stack", [["max_epochs=3"]] * 3), [None, Once(), None])
    assert [run.status for run in runs] == ["completed", "pruned", "completed"]
    assert [len(run.record["history"]) for run in runs] == [3, 1, 3]
    assert runs[1].record["stop_reason"] == "not promising"


@pytest.mark.parametrize("step", [3, 9, 14])
def test_a_stack_that_was_killed_goes_on_to_the_bit(make: Make, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    members = [["max_epochs=2"], ["max_epochs=5"], ["max_epochs=5"]]
    monkeypatch.setattr("holdfast.training.stacking.together.SECONDS_PER_CHECKPOINT", 0.0)
    whole = train(make("whole", members))
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Killed):
            train(make("killed", members))
    folders = [run.folder.parents[1] / "killed" / run.folder.name for run in whole]
    for folder in folders:  # as a process leaves it that is killed
        fields = json.loads((folder / "run.json").read_text())
        if fields["status"] == "failed":
            (folder / "run.json").write_text(json.dumps({**fields, "status": "running", "pid": 2**22 + 1}))
    going_on = [Experiment.compose([f"resume={folder}"]) for folder in folders if Run(folder).status != "completed"]
    assert len(going_on) == (3 if step < 9 else 2)
    train(going_on)
    for run, folder in zip(whole, folders, strict=True):
        killed = Run(folder)
        assert (killed.status, killed.metrics) == ("completed", run.metrics)
        files = [
            read_checkpoint(each / run.record["best"]["checkpoint"])["state_dict"] for each in (run.folder, folder)
        ]
        assert all(torch.equal(files[0][key], files[1][key]) for key in files[0])
        assert killed.record["stack"] == run.record["stack"]
    assert not list(folders[0].parent.rglob("stack.ckpt"))


def test_a_member_that_fails_leaves_the_others_alone(make: Make) -> None:
    members = [["max_epochs=2"], ["max_epochs=2", "lr=1e300", "optimizer=sgd"], ["max_epochs=2"]]
    members = [[*words, "optimizer=sgd", "model.norm=none"] for words in members]
    runs = train(make("stack", members))
    assert [run.status for run in runs] == ["completed", "failed", "completed"]
    reason = runs[1].record["stop_reason"]
    assert reason.startswith("train/loss: is nan in step 2 (epoch 1, batch 2)")
    assert reason.endswith("next: a smaller lr, a warm-up or clipping")
    assert_same(runs[2], make("alone", members)[2].run())


def test_a_signal_ends_all(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, count = stacking.Stack.step, [0]

    def step(self: Any, batch: Any) -> Any:
        count[0] += 1
        if count[0] == 6:
            raise Interrupted(15)
        return plain(self, batch)

    monkeypatch.setattr(stacking.Stack, "step", step)
    experiments = make("stack", [["max_epochs=4"]] * 2)
    with pytest.raises(Interrupted):
        train(experiments)
    assert [experiment.result().status for experiment in experiments] == ["interrupted"] * 2


def test_what_cannot_be_stacked_is_trained_in_turn(make: Make) -> None:
    experiments = make("stack", [["max_epochs=1", "optimizer=muon"]] * 2)
    runs = train(experiments)
    assert [run.status for run in runs] == ["completed", "completed"]
    reason = "the optimizer Muon looks at more than one number of the weights at a time"
    assert runs[0].record["stack"] == {"reason": reason}


class Killed(BaseException):
    """Stands in for SIGKILL."""


def stop_at(patch: pytest.MonkeyPatch, step: int) -> None:
    plain, count = stacking.Stack.step, [0]

    def stopping(self: Any, batch: Any) -> Any:
        count[0] += 1
        if count[0] == step:
            raise Killed
        return plain(self, batch)

    patch.setattr(stacking.Stack, "step", stopping)
