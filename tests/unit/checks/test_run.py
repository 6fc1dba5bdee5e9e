"""The frame: what a run is like with checks, without them, and after one that fails."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import holdfast
from holdfast.checks import kinds
from holdfast.checks import run as running
from holdfast.checks.run import check, print_table, untouched
from holdfast.checks.subject import Subject
from holdfast.checks.verdict import Verdict, gravest
from holdfast.cli.check import check as check_verb
from holdfast.cli.train import _check_as_json
from holdfast.core.errors import InputError, RunFailed
from holdfast.core.run_record import read_run
from holdfast.experiment.experiment import Experiment
from holdfast.training.checkpoints import read_checkpoint

SMALL = ["model.hidden=[8]", "max_epochs=2", "logger=none"]


class Drawing(nn.Module):
    """Dropout, batch norm, a generator of numpy's state, a counter and a buffer that each pass changes."""

    passes: Tensor

    def __init__(self, *, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        width = input_shape[-1] * input_shape[-2] * input_shape[0]
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(width, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
        self.last = nn.Linear(8, num_outputs)
        self.register_buffer("passes", torch.zeros(()))
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.count += 1
            self.passes += 1
            return self.last(self.layers(x)) * (1 + 0.01 * self.count)
        return self.last(self.layers(x))


class Annealed:
    """A loss that changes from step to step, by a state of its own."""

    def __init__(self, *, task: str) -> None:
        self.steps = 0

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        self.steps += 1
        return functional.cross_entropy(outputs, y, label_smoothing=0.1 / self.steps)


def annealed(*, task: str) -> Any:
    """The same, with its state in a closure."""
    steps = 0

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        nonlocal steps
        steps += 1
        return functional.cross_entropy(outputs, y, label_smoothing=0.1 / steps)

    return loss


def never_less(*, task: str) -> Any:
    """The wrong sign."""
    return lambda outputs, y: -functional.cross_entropy(outputs, y)


def state_of(run: holdfast.Run) -> dict[str, Tensor]:
    state: dict[str, Tensor] = read_checkpoint(run.folder / "checkpoints/last.ckpt")["state_dict"]
    return state


@pytest.mark.parametrize("loss", [Annealed, annealed])
def test_a_run_ends_in_the_same_bits_with_and_without_checks(loss: Any) -> None:
    parts = {"model": Drawing, "loss": loss}
    overrides = ["max_epochs=2", "logger=none", "augment=mirror"]
    without = holdfast.train([*overrides, "check=none"], parts=parts)
    with_all = holdfast.train([*overrides, "check=all"], parts=parts)
    quick = holdfast.train(overrides, parts=parts)
    for other in (with_all, quick):
        first, second = state_of(without), state_of(other)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert without.record["history"][-1]["val/loss"] == other.record["history"][-1]["val/loss"]
    assert without.record["checks"] == []
    names = [verdict["name"] for verdict in with_all.record["checks"]]
    assert sorted(names) == sorted(verdict.__name__ for verdict in running_checks())
    assert all(
        verdict.keys() == {"name", "verdict", "evidence", "causes", "next"} for verdict in with_all.record["checks"]
    )
    assert quick.record["checks"][0]["name"] == "mistakes"


def running_checks() -> Sequence[Any]:
    from holdfast.checks.all import ALL

    return ALL


def test_the_module_that_is_trained_is_never_touched() -> None:
    experiment = Experiment.compose(SMALL)
    module = experiment.build().module
    module.model[1].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    state = torch.get_rng_state()
    running.run_checks(experiment)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert [part.training for part in module.modules()] == modes
    assert not module.model[1].weight.requires_grad
    assert all(parameter.grad is None for parameter in module.parameters())
    assert torch.equal(state, torch.get_rng_state())


def test_a_check_that_cannot_run_is_a_verdict() -> None:
    @check
    def breaks(subject: Subject) -> Verdict:
        torch.rand(3)
        raise ZeroDivisionError("by hand")

    state = torch.get_rng_state()
    (verdict,) = breaks(Subject(Experiment.compose(SMALL)))
    assert verdict == Verdict("breaks", "skipped", {"reason": "could not run (ZeroDivisionError: by hand)"})
    assert torch.equal(state, torch.get_rng_state())


def test_what_fails_is_told_and_ends_the_run_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"loss": never_less}
    run = holdfast.train(SMALL, parts=parts)
    assert run.status == "completed"
    assert run.record["checks"][0]["verdict"] == "fail"
    assert "check mistakes: fail: the loss has the wrong sign" in capsys.readouterr().err
    page = (run.folder / "report.html").read_text()
    assert "Checks before training" in page
    assert "the loss has the wrong sign" in page
    with pytest.raises(RunFailed, match=r"1 of 1 checks failed \(mistakes\): the loss has the wrong sign"):
        holdfast.train([*SMALL, "check.on_fail=stop"], parts=parts)
    with pytest.raises(InputError, match=r"check.on_fail: is 'halt'; allowed: report, stop"):
        holdfast.train([*SMALL, "check.on_fail=halt"], parts=parts)


def test_the_stage_checks_and_trains_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    experiment = Experiment.compose([*SMALL, "stage=check", "check=chance_loss"])
    run = experiment.run()
    assert (run.record["kind"], run.status, run.record["best"]) == ("check", "completed", None)
    assert not (run.folder / "checkpoints").exists()
    printed = capsys.readouterr().out
    assert "chance_loss" in printed
    assert "pass" in printed
    assert Experiment.compose([*SMALL, "stage=check"]).config.check._target_ == "holdfast.checks.all"
    with pytest.raises(InputError):
        holdfast.freeze(run)


def test_the_stage_fails_with_a_check() -> None:
    experiment = Experiment.compose([*SMALL, "stage=check", "check=mistakes"], parts={"loss": never_less})
    with pytest.raises(RunFailed) as caught:
        experiment.run()
    assert caught.value.exit_code == 1
    record = read_run(experiment.folder)
    assert (record["status"], record["checks"][0]["verdict"]) == ("failed", "fail")
    assert (experiment.folder / "report.html").exists()


def test_the_verb_answers_for_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    check_verb([*SMALL, "check=mistakes"], as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert [verdict["name"] for verdict in answer["checks"]] == ["mistakes"]


def test_the_stage_answers_for_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    _check_as_json([*SMALL, "stage=check", "check=mistakes"])
    answer = json.loads(capsys.readouterr().out)
    assert [verdict["name"] for verdict in answer["checks"]] == ["mistakes"]
    assert read_run(Path(answer["run"]))["kind"] == "check"


@pytest.mark.parametrize("words", [SMALL, ["stage=check", "-m", "seed=0,1"], ["stage=check", "--cfg", "job"]])
def test_nothing_but_one_check_answers_for_a_script(words: list[str]) -> None:
    with pytest.raises(InputError, match=r"^--json: belongs to the checks of one experiment"):
        _check_as_json(words)


def test_a_sweep_checks_once_for_its_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []

    def record(experiment: Experiment) -> list[Verdict]:
        seen.append(experiment.config.model.activation)
        return [Verdict("mistakes", "doubtful", {"n": 1}, ("a cause",), "mend it")]

    monkeypatch.setattr(kinds, "run_checks", record)
    jobs = [["lr=0.1"], ["model.hidden=[4]", "seed=3"], ["model.activation=tanh"], ["model.dropout=0.5"]]
    kinds.check_kinds([Experiment.compose([*SMALL, *job]).config for job in jobs], tmp_path)
    assert seen == ["relu", "tanh"], "numbers make no other kind of run"
    run = Experiment.compose([*SMALL, f"hydra.run.dir={tmp_path}/0"]).run()
    other = Experiment.compose([*SMALL, "model.activation=gelu", f"hydra.run.dir={tmp_path}/1/0"]).run()
    assert seen == ["relu", "tanh", "gelu"], "what nobody knew of before the sweep is checked as it starts"
    expected = Verdict("mistakes", "doubtful", {"n": 1}, ("a cause",), "mend it").as_dict()
    assert run.record["checks"] == other.record["checks"] == [expected]
    Experiment.compose([*SMALL, f"hydra.run.dir={tmp_path.parent}/alone"]).run()
    assert seen == ["relu", "tanh", "gelu", "relu"], "a run on its own is checked"


def test_gravest_and_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert gravest(["pass", "doubtful", "skipped"]) == "doubtful"
    assert gravest([]) == "skipped"
    print_table([Verdict("one", "fail", {"share": 0.5}, ("it is [broken]",), "mend it")])
    printed = capsys.readouterr().out
    assert "it is [broken]" in printed
    assert "mend it" in printed


def test_untouched_gives_back_the_mode_of_gradients() -> None:
    with torch.no_grad():
        with untouched(0):
            assert torch.is_grad_enabled()
        assert not torch.is_grad_enabled()


def test_parts_with_arguments_are_checked_as_well() -> None:
    run = holdfast.train(["max_epochs=1", "logger=none"], parts={"model": functools.partial(Drawing)})
    assert run.record["checks"][0]["verdict"] == "pass"
