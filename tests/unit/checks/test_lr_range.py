"""The learning-rate range, and runs that take their rate from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import holdfast
from holdfast.checks import lr_range
from holdfast.checks.lr_range import suggestions
from holdfast.checks.subject import Subject
from holdfast.checks.verdict import Verdict
from holdfast.core.errors import InputError, Interrupted, RunFailed
from holdfast.core.run_record import read_run
from holdfast.experiment.experiment import Experiment
from holdfast.training.checkpoints import read_checkpoint


def verdict_of(*overrides: str) -> Verdict:
    (verdict,) = lr_range(Subject(Experiment.compose(["logger=none", "model.hidden=[16]", *overrides])))
    return verdict


def never_moves(*, task: str) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss with hardly a slope."""
    return lambda outputs, y: 1.0 + 1e-9 * outputs.mean()


def test_the_rules_of_the_rate_range() -> None:
    rates = np.logspace(-6, 1, 100)
    losses = 2.0 - 1.5 / (1 + np.exp(-4 * (np.log10(rates) + 3))) + 5 * np.clip(np.log10(rates), 0, None)
    found = suggestions(rates, losses)
    assert found["steepest"] == pytest.approx(1e-3, rel=0.2)
    assert found["tenth_of_minimum"] == pytest.approx(0.1, rel=0.2)
    assert 1e-3 < found["valley"] < 1e-1


def test_the_means_of_the_first_batches_are_set_aside() -> None:
    rates = np.logspace(-6, 1, 100)
    losses = 2.0 - 1.5 / (1 + np.exp(-4 * (np.log10(rates) + 3))) + 5 * np.clip(np.log10(rates), 0, None)
    rules = suggestions(rates, losses)
    losses[:3] = 0.1  # batches without a row of the rare class
    assert suggestions(rates, losses)["tenth_of_minimum"] == rules["tenth_of_minimum"]
    assert suggestions(rates, losses)["steepest"] == rules["steepest"]


def test_a_rate_that_does_not_suit_is_told() -> None:
    assert verdict_of().verdict == "pass"
    large = verdict_of("optimizer=sgd", "lr=1e5")
    assert large.verdict == "doubtful"
    assert large.next.startswith("lr=")
    small = verdict_of("lr=1e-9")
    assert (small.verdict, small.next[:3]) == ("doubtful", "lr=")


def test_lr_auto_trains_with_the_rate_that_it_finds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small = ["max_epochs=1", "logger=none", "model.hidden=[16]"]
    found = Experiment.compose([*small, "lr=auto", f"hydra.run.dir={tmp_path}/auto"]).run()
    lr = found.config["lr"]
    assert found.config["optimizer"]["lr"] == lr
    assert "lr=auto" in found.record["overrides"]
    (verdict,) = (verdict for verdict in found.record["checks"] if verdict["name"] == "lr_range")
    rules = [verdict["evidence"][name] for name in ("steepest", "valley", "tenth_of_minimum")]
    assert verdict["evidence"]["advised"] == lr == pytest.approx(sorted(rules)[1], rel=0.06)
    assert f"lr=auto takes {lr:g} (steepest" in capsys.readouterr().err
    typed = Experiment.compose([*small, f"lr={lr}", f"hydra.run.dir={tmp_path}/typed"]).run()
    weights = [read_checkpoint(run.folder / "checkpoints/last.ckpt")["state_dict"] for run in (found, typed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    page = (found.folder / "report.html").read_text()
    assert 'aria-label="loss by learning rate"' in page
    assert f"valley {verdict['evidence']['valley']:.2g}" in page
    assert holdfast.freeze(found).is_new


def test_a_run_that_goes_on_keeps_the_rate_that_it_has_found(tmp_path: Path) -> None:
    small = ["max_epochs=3", "logger=none", "model.hidden=[16]", "lr=auto", f"hydra.run.dir={tmp_path}/run"]

    class Interrupting:
        def epoch(self, number: int, metrics: Any) -> None:
            raise Interrupted(2)

    with pytest.raises(Interrupted):
        Experiment.compose(small).run(Interrupting())
    record = read_run(tmp_path / "run")
    experiment = Experiment.compose([f"resume={tmp_path}/run"])
    experiment.check()
    assert not experiment.finds_lr
    run = experiment.run()
    assert run.config["lr"] == record["config"]["lr"] != "auto"
    assert run.record["checks"][: len(record["checks"])] == record["checks"]


def test_lr_auto_looks_for_a_rate_again_where_a_run_had_found_none(tmp_path: Path) -> None:
    parts = {"loss": never_moves}
    small = ["max_epochs=1", "logger=none", "lr=auto", "check=none", f"hydra.run.dir={tmp_path}/run"]
    with pytest.raises(RunFailed, match=r"lr: is auto, and no rate from 1e-06 to 10 makes the loss fall markedly"):
        Experiment.compose(small, parts=parts).run()
    assert read_run(tmp_path / "run")["config"]["lr"] == "auto"
    experiment = Experiment.compose([f"resume={tmp_path}/run"])
    experiment.check()
    assert experiment.finds_lr


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["optimizer=lbfgs"], "lr: is auto, and lbfgs searches its steps by itself"),
        (["optimizer.lr=0.1"], "lr: is auto, and the optimizer does not take its rate from lr"),
        (["ensemble=members", "ensemble.runs=[a,b]"], "lr: is auto, and an ensemble of runs trains nothing"),
    ],
)
def test_lr_auto_is_refused_where_it_cannot_work(overrides: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Experiment.compose(["lr=auto", *overrides])
    assert caught.value.exit_code == 2
