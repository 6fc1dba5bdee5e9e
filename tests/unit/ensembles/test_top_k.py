from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from holdfast.core.errors import InputError
from holdfast.ensembles import TopK
from holdfast.ensembles.make import Candidate
from holdfast.ensembles.top_k import _refuse_other_monitor
from holdfast.experiment.run import Run
from holdfast.inference.network import load_run
from holdfast.inference.predict import predict_frame

from .conftest import Train, train_in


@pytest.fixture(scope="module")
def trained(home_with_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs of a folder, of other rates, and one that failed; beside it a run of other val rows."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_HOME", str(home_with_digits))
        patch.chdir(folder)
        for number, lr in enumerate((1e-3, 0.03, 0.01, 1e-4)):
            run = train_in(folder / "runs" / str(number), f"lr={lr}", f"seed={number}")
        train_in(folder / "other", "split=kfold", "split.num_folds=3")
    (folder / "runs" / "4").mkdir()
    (folder / "runs" / "4" / "run.json").write_text(json.dumps({**run.record, "status": "failed"}))
    shutil.copytree(run.folder, folder / "broken")
    shutil.rmtree(folder / "broken" / "checkpoints")
    return folder


@pytest.fixture
def runs(trained: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The completed ones of the folder `runs`, which lies in the working folder."""
    monkeypatch.chdir(trained)
    return [Run(trained / "runs" / str(number)) for number in range(4)]


def test_the_best_of_a_folder_are_averaged(train: Train, runs: list[Run], tmp_path: Path) -> None:
    ensemble = train("top", "ensemble=top_k", "ensemble.runs=runs", "ensemble.size=3", "ensemble.temperature=fit")
    record = ensemble.record["ensemble"]
    order = sorted(runs, key=lambda run: run.metrics["val/loss"])[:3]
    assert [Path(entry["run"]).name for entry in record["members"]] == [run.folder.name for run in order]
    assert ensemble.record["stop_reason"] == "averaged 3 runs"
    assert ensemble.record["config"]["data"]["subset"] == 200

    x = np.random.default_rng(0).integers(0, 17, (5, 8, 8, 1)).astype(np.uint8)
    members = np.stack([load_run(run.folder).network.predict(x) for run in order])
    mean, temperature = members.mean(axis=0), record["temperature"]
    powers = mean ** (1 / temperature)
    predictions = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(load_run(ensemble.folder).network.predict(x), predictions, rtol=1e-4)
    losses = [entry["metrics"]["val/loss"] for entry in record["members"]]
    assert losses == pytest.approx([run.metrics["val/loss"] for run in order], rel=1e-5)
    assert record["curve"][0]["val/loss"] == pytest.approx(losses[0])
    assert record["mean"]["val/loss"] == pytest.approx(np.mean(losses))
    assert np.array(record["disagreement"]).shape == np.array(record["error_correlation"]).shape == (3, 3)

    table = predict_frame(ensemble.folder, x)
    entropies = [-sum(p * math.log(p) for p in row) for row in predictions]
    np.testing.assert_allclose(table["entropy"], entropies, rtol=1e-4)
    differs = (members.argmax(axis=2) != predictions.argmax(axis=1)).mean(axis=0)
    np.testing.assert_allclose(table["disagreement"], differs, rtol=1e-6)
    assert "entropy" not in predict_frame(runs[0].folder, x)


def test_members_are_all_and_greedy_weights_leave_some_out(train: Train, runs: list[Run]) -> None:
    everyone = train("members", "ensemble=members", "ensemble.runs=runs")
    assert len(everyone.record["ensemble"]["members"]) == 4
    named = ",".join(f"runs/{number}" for number in range(4))
    greedy = train("greedy", "ensemble=members", f"ensemble.runs=[{named}]", "ensemble.weights=greedy")
    record = greedy.record["ensemble"]
    assert sum(entry["weight"] for entry in record["members"]) == pytest.approx(1.0)
    assert len(record["members"]) + len(record["left_out"]) == 4
    assert greedy.value is not None
    assert greedy.value <= min(run.metrics["val/loss"] for run in runs) + 1e-6
    weighted = train("list", "ensemble=members", f"ensemble.runs=[{named}]", "ensemble.weights=[0,3,1,0]")
    assert [entry["weight"] for entry in weighted.record["ensemble"]["members"]] == [0.75, 0.25]
    assert [Path(entry["run"]).name for entry in weighted.record["ensemble"]["left_out"]] == ["0", "3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "ensemble.runs: names 0 runs; allowed: two or more, or the folder of a sweep; next: [RUN_A,RUN_B]"),
        ({"runs": ["runs/0"]}, "ensemble.runs: names 1 runs"),
        ({"runs": ["runs/0", "runs/0"]}, "ensemble.runs: names runs/0 twice"),
        ({"runs": "nowhere"}, "ensemble.runs: there is no folder nowhere"),
        ({"runs": "runs/0"}, "ensemble.runs: runs/0 has 0 completed runs in it; allowed: two or more"),
        ({"runs": ["runs/0", "runs/4"]}, "runs/4: is failed; allowed: completed; next: resume=runs/4"),
        ({"runs": ["runs/0", "broken"]}, "broken/checkpoints/"),
        ({"runs": ["runs/0", "other"]}, "other: has another val rows than runs/0"),
        ({"size": 3}, "ensemble.size: is 3, and there are 2 completed runs; allowed: 2 to 2"),
        ({"size": 2, "weights": [1, -2]}, "ensemble.weights: is [1, -2]; allowed: equal, greedy, or 2 numbers of 0"),
        ({"size": 2, "weights": [0, 0]}, "ensemble.weights: is [0, 0]; allowed: equal, greedy, or 2 numbers of 0"),
        ({"monitor": "val/r2"}, "monitor: is 'val/r2', which no metric produces"),
    ],
)
def test_bad_input(runs: list[Run], options: dict[str, Any], message: str) -> None:
    monitor = options.get("monitor", "val/loss")
    config = OmegaConf.create({"monitor": monitor, "mode": "auto"})
    named = {"runs": ["runs/0", "runs/1"]} if "size" in options or "monitor" in options else {}
    chosen = {name: value for name, value in options.items() if name != "monitor"}
    with pytest.raises(InputError) as caught:
        TopK(**named, **chosen).check(SimpleNamespace(config=config))  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


def test_nothing_is_written_after_bad_input(train: Train, tmp_path: Path, runs: list[Run]) -> None:
    for words, message in (
        (["ensemble.runs=7"], "ensemble.runs: is 7; allowed: the folder of a sweep or of runs, or a list of runs"),
        (["ensemble.runs=runs", "ensemble.size=0"], "ensemble.size: is 0; allowed: a whole number, 2 or more"),
        (["ensemble.runs=runs", "ensemble.size=5"], "ensemble.size: is 5, and there are 4 completed runs"),
    ):
        with pytest.raises(InputError) as caught:
            train("top", "ensemble=top_k", *words)
        assert str(caught.value).startswith(message)
    assert not (tmp_path / "top").exists()


@pytest.mark.parametrize(
    ("monitors", "problems"),
    [
        (("val/loss", "val/loss"), ()),
        (("val/accuracy", "val/accuracy"), ("next: monitor=val/accuracy", "next: monitor=val/accuracy")),
        (("val/loss", "val/accuracy"), ("next: average runs with one monitor",)),
    ],
)
def test_members_were_chosen_by_the_monitor_of_the_ensemble(
    monitors: tuple[str, str], problems: tuple[str, ...]
) -> None:
    modes = {"val/loss": "min", "val/accuracy": "max"}
    records = [{"best": {"monitor": monitor, "mode": modes[monitor]}} for monitor in monitors]
    runs = [Candidate(Path(name), record, "last.ckpt") for name, record in zip("ab", records, strict=True)]
    config = OmegaConf.create({"monitor": "val/loss", "mode": "auto"})
    if not problems:
        _refuse_other_monitor(config, runs)
        return
    with pytest.raises(InputError) as raised:
        _refuse_other_monitor(config, runs)
    assert [str(problem).partition("; ")[2] for problem in raised.value.problems] == [*problems]
