"""Attacks 1 and 2: something is chosen by a metric of the test rows, or of a name that looks like one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.core.errors import InputError
from holdfast.core.metrics import metrics_of
from holdfast.training.metric_names import check_monitor

from .conftest import Run, write_callback

NAMES = [
    *(
        "test/acc",
        "test/accuracy",
        "test_loss",
        "Test/acc",
        "TEST/accuracy",
        "val/../test/accuracy",
        "val/test/accuracy",
    ),
    *("t\u0435st/accuracy", "\uff54\uff45\uff53\uff54/accuracy", "v\u0430l/accuracy", "val/\u0430ccuracy"),
    *("val/accuracy ", " val/accuracy", "val/accuracy\n", "val/accuracy\u200b", "accuracy", "test", ""),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", [None, "multiclass"])
def test_a_monitor_that_is_no_val_metric(name: str, task: str | None) -> None:
    with pytest.raises(InputError, match="monitor: is"):
        check_monitor(name, task)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["monitor=test/acc"],
        ["monitor=test/accuracy", "early_stopping=patience"],
        ["-m", "monitor=test/accuracy", "lr=1e-2,1e-3"],
    ],
)
def test_on_the_command_line(train: Run, project: Path, overrides: list[str]) -> None:
    done = train(*overrides)
    assert done.returncode == 2
    assert "the test rows are sealed, nothing can be chosen by them" in done.stderr
    assert not list(project.rglob("run.json"))


@pytest.mark.slow
@pytest.mark.parametrize(("target", "monitor"), [("EarlyStopping", "test/acc"), ("ModelCheckpoint", "t\u0435st_loss")])
def test_a_callback_of_lightning_that_chooses_by_one(train: Run, project: Path, target: str, monitor: str) -> None:
    option = f"mine:\n  _target_: pytorch_lightning.callbacks.{target}\n  monitor: {monitor}\n"
    (project / "conf" / "callbacks").mkdir(parents=True)
    (project / "conf" / "callbacks" / "mine.yaml").write_text(option)
    done = train("callbacks=mine")
    assert done.returncode == 2
    assert f"callbacks.mine.monitor: is '{monitor}': the test rows are sealed" in done.stderr
    assert not list(project.rglob("run.json"))


LOGGER = """
from pytorch_lightning import Callback
from torch import nn

NAMES = ("test/acc", "test/accuracy", "Test/acc", "test_loss", "t\u0435st/accuracy", "val/test_accuracy")


class Logger(Callback):
    def setup(self, trainer, pl_module, stage):
        pl_module.model.whole = [pl_module]

    def on_validation_epoch_end(self, trainer, pl_module):
        for name in NAMES:
            pl_module.log(name, 0.99)

    def on_train_epoch_end(self, trainer, pl_module):
        for name in NAMES:
            pl_module.log("epoch/" + name, 0.99)
            trainer.callback_metrics[name] = 0.99
            trainer.logged_metrics[name] = 0.99


class Net(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.whole = []
        self.layer = nn.Linear(64, num_outputs)

    def forward(self, x):
        for module in self.whole:
            if module._trainer is not None and module.trainer.training:
                for name in NAMES:
                    module.log("step/" + name, 0.99)
        return self.layer(x.flatten(1))
"""


@pytest.mark.slow
def test_a_users_module_that_logs_one(trained: None, train: Run, holdfast: Run, project: Path) -> None:
    """Nothing can be chosen by it: neither the record of the run nor the table of runs has it."""
    write_callback(project, LOGGER, "Logger")
    (project / "conf" / "model").mkdir(parents=True)
    (project / "conf" / "model" / "mine.yaml").write_text("_target_: spy.Net\n")
    mine = ["callbacks=spy", "model=mine", "trusted_modules=[spy]"]
    done = train(*mine, "hydra.run.dir=run", "early_stopping=patience", "schedule=plateau")
    assert done.returncode == 0, done.stderr
    record = json.loads((project / "run" / "run.json").read_text())
    names = metrics_of("multiclass", asked_for=False)
    known = {"epoch", "step", "lr", "seconds", *(f"{part}/{name}" for part in ("train", "val") for name in names)}
    assert {name for epoch in record["history"] for name in epoch} <= known
    assert set(record["best"]["metrics"]) <= known
    header = (project / "run" / "metrics.csv").read_text().splitlines()[0]
    assert set(header.split(",")) <= known
    table = holdfast("runs", "run", "--json")
    assert table.returncode == 0
    assert "test" not in table.stdout
