from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.run import Run
from holdfast.inference.network import load_run

from .conftest import Train

SCHEDULE = ["schedule=cosine_restarts", "schedule.first_cycle_epochs=1", "schedule.cycle_multiplier=2", "max_epochs=3"]
WORDS = ["ensemble=snapshots", *SCHEDULE, "lr=0.01"]


def test_members_are_the_ends_of_the_cycles_of_one_training(tmp_path: Path, train: Train) -> None:
    ensemble = train("ensemble", *WORDS)
    alone = train("alone", *SCHEDULE, "lr=0.01")
    record = ensemble.record["ensemble"]
    assert [(entry["run"], entry["checkpoint"]) for entry in record["members"]] == [
        ("members/0", "checkpoints/last.ckpt"),
        ("members/1", "checkpoints/last.ckpt"),
    ]
    members = [Run(ensemble.folder / entry["run"]) for entry in record["members"]]
    assert [len(member.history) for member in members] == [1, 3]
    assert [member.record["stop_reason"] for member in members] == ["cycle 1 has ended", "cycle 2 has ended"]
    losses = [entry["val/loss"] for entry in alone.record["history"]]
    assert [entry["val/loss"] for entry in members[1].record["history"]] == losses, "the bits of an unbroken training"
    assert [entry["metrics"]["val/loss"] for entry in record["members"]] == pytest.approx([losses[0], losses[2]])

    x = np.random.default_rng(0).integers(0, 17, (5, 8, 8, 1)).astype(np.uint8)
    expected = load_run(ensemble.folder).network.predict(x)
    kept = (members[0].folder / "run.json").read_bytes()
    shutil.rmtree(members[1].folder)
    (ensemble.folder / "run.json").write_text(json.dumps({**ensemble.record, "status": "interrupted"}))
    experiment = Experiment.compose([f"resume={ensemble.folder}"])
    experiment.check()
    experiment.run()
    np.testing.assert_array_equal(load_run(ensemble.folder).network.predict(x), expected)
    assert (members[0].folder / "run.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["schedule=constant"], "schedule: has 0 whole cycles in max_epochs=2, and each gives a member; allowed: two"),
        (["schedule=cosine"], "schedule: has 0 whole cycles"),
        (["schedule=one_cycle"], "schedule: has "),
        (["schedule=plateau"], "schedule: goes by a val metric"),
        (["schedule=cosine_restarts"], "schedule: has 0 whole cycles in max_epochs=2"),
        ([*SCHEDULE, "max_epochs=2"], "schedule: has 1 whole cycles in max_epochs=2"),
        (
            [*SCHEDULE, "max_epochs=4", "schedule.warmup=2steps"],
            "schedule: ends a cycle within epoch 2; allowed: cycles and",
        ),
        ([*SCHEDULE, "early_stopping=patience"], "early_stopping: may end the training before the cycles do"),
        ([*SCHEDULE, "ensemble.weights=[1,1,1]"], "ensemble.weights: is [1, 1, 1]; allowed: equal, greedy, or 2 num"),
    ],
)
def test_bad_input(tmp_path: Path, train: Train, words: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        train("ensemble", "ensemble=snapshots", *words)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "ensemble").exists()
