from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from holdfast.cli.schedule import preview
from holdfast.core.errors import InputError


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    preview(["schedule=inverse_time", "schedule.k=1", "lr=0.1", "max_epochs=3"], 5, as_json=False)
    shown = capsys.readouterr().out
    assert "3 epochs of 5 steps" in shown
    assert [line.split() for line in shown.splitlines()[-3:]] == [
        ["1", "0.1", "0.1"],
        ["2", "0.05", "0.05"],
        ["3", "0.03333", "0.03333"],
    ]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    preview(["schedule=linear", "lr=1", "max_epochs=2", "optimizer=momentum"], 2, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["rates"] == [1.0, 0.75, 0.5, 0.25]
    assert answer["epochs"][1] == {"epoch": 2, "first_lr": 0.5, "last_lr": 0.25, "momentum": None}


def test_a_module_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_halving.py").write_text(
        "import torch\n\n\ndef halves(optimizer):\n    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)\n"
    )
    (tmp_path / "conf/schedule").mkdir(parents=True)
    (tmp_path / "conf/schedule/halves.yaml").write_text("_target_: own_halving.halves\n")
    preview(["schedule=halves", "trusted_modules=[own_halving]", "lr=1", "max_epochs=2"], 2, as_json=True)
    assert json.loads(capsys.readouterr().out)["rates"] == [1.0, 1.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("overrides", "steps", "message"),
    [
        (["schedule=cosin"], 10, "schedule: has no option 'cosin'"),
        (["schedule=step", "lr=-1"], 10, "lr: is -1; allowed: a positive number"),
        (["schedule=plateau"], 10, "schedule: goes by a val metric"),
        (["schedule=constant", "schedule.momentum=[0.5,0.99]"], 10, "the optimizer (SGD) has no momentum"),
        (["schedule=cosine", "max_epochs=2", "schedule.warmup=2epochs"], 10, "is 2epochs, that is 20 steps"),
        ([], 0, "--steps-per-epoch: is 0"),
    ],
)
def test_mistakes(overrides: list[str], steps: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        preview(overrides, steps, as_json=False)
    assert message in str(caught.value)
