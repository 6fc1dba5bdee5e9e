from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.errors import InputError, RunFailed
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.run import Run
from holdfast.inference.network import load_run

from .conftest import Train

WORDS = ["ensemble=seeds", "ensemble.size=3", "seed=4"]


def test_members_are_runs_and_their_mean_is_judged(tmp_path: Path, train: Train) -> None:
    ensemble = train("ensemble", *WORDS)
    alone = train("alone", "seed=5")
    record = ensemble.record
    assert (record["kind"], record["status"]) == ("ensemble", "completed")
    assert record["stop_reason"] == "trained and averaged 3 runs"
    assert [member["run"] for member in record["ensemble"]["members"]] == ["members/0", "members/1", "members/2"]
    runs = [Run(ensemble.folder / member["run"]) for member in record["ensemble"]["members"]]
    assert [run.record["seed"] for run in runs] == [4, 5, 6]
    assert runs[1].metrics == pytest.approx(alone.metrics, abs=1e-8)
    assert [word for word in runs[2].record["overrides"] if word.startswith(("seed", "ensemble", "check"))] == [
        "seed=6",
        "ensemble=none",
        "check=none",
    ]
    x = np.random.default_rng(0).integers(0, 17, (5, 8, 8, 1)).astype(np.uint8)
    mean = np.mean([load_run(run.folder).network.predict(x) for run in runs], axis=0)
    moved = tmp_path / "moved"
    ensemble.folder.rename(moved)
    assert load_run(moved).network.predict(x) == pytest.approx(mean, abs=1e-6)


def test_one_after_the_other(train: Train) -> None:
    together, in_turn = train("a", *WORDS), train("b", *WORDS, "ensemble.stack=false")
    assert together.metrics == pytest.approx(in_turn.metrics, abs=1e-6)
    assert "stack" not in Run(in_turn.folder / "members" / "0").record


def test_goes_on_with_what_is_missing(train: Train) -> None:
    ensemble = train("ensemble", *WORDS)
    metrics = ensemble.metrics
    kept = (ensemble.folder / "members" / "0" / "run.json").read_bytes()
    shutil.rmtree(ensemble.folder / "members" / "2")
    path = ensemble.folder / "run.json"
    path.write_text(json.dumps({**ensemble.record, "status": "interrupted"}))
    experiment = Experiment.compose([f"resume={ensemble.folder}"])
    experiment.check()
    assert experiment.run().metrics == pytest.approx(metrics, abs=1e-6)
    assert (ensemble.folder / "members" / "0" / "run.json").read_bytes() == kept


def test_a_member_that_fails_is_told(train: Train) -> None:
    words = ["optimizer=sgd", "model.norm=none", "lr=1e300", "ensemble.size=2"]
    with pytest.raises(RunFailed) as caught:
        train("ensemble", *WORDS, *words)
    assert str(caught.value).startswith("members: 2 of 2 failed; members/0: train/loss: is nan in step 2")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("ensemble.size=0", "ensemble.size: is 0; allowed: a whole number, 2 or more"),
        ("ensemble.size=1", "ensemble.size: is 1; allowed: a whole number, 2 or more"),
        ("ensemble.stack=maybe", "ensemble.stack: is 'maybe'; allowed: true, false"),
        ("ensemble.size=null", "ensemble.size: is None; allowed: a whole number"),
        ("ensemble.combine=votes", "ensemble.combine: is 'votes'; allowed: probabilities, logits"),
        ("ensemble.weights=best", "ensemble.weights: is 'best'; allowed: equal, greedy, a list of numbers"),
        ("ensemble.weights=[1,-1,1]", "ensemble.weights: is [1, -1, 1]; allowed: equal, greedy, or 3 numbers of 0"),
        ("ensemble.weights=[0,0,0]", "ensemble.weights: is [0, 0, 0]; allowed: equal, greedy, or 3 numbers of 0"),
        ("ensemble.weights=[1,1]", "ensemble.weights: is [1, 1]; allowed: equal, greedy, or 3 numbers of 0 or more"),
        ("ensemble.temperature=0", "ensemble.temperature: is 0; allowed: fit, a number above 0"),
        ("ensemble.temperature=warm", "ensemble.temperature: is 'warm'; allowed: fit, a number above 0"),
        ("seed=4294967295", "ensemble.size: is 3: the last seed would be 4294967297; allowed: up to 4294967295"),
    ],
)
def test_bad_input(tmp_path: Path, train: Train, words: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        train("ensemble", *WORDS, words)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "ensemble").exists()
