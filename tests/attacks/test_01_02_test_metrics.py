"""Attacks 1 and 2: something is chosen by a metric of the test rows, or of a name that looks like one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.core.errors import InputError
from holdfast.training.names import check_monitor

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


LOGGER = """
from pytorch_lightning import Callback


class Logger(Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        pl_module.log("test/acc", 0.99)
        trainer.callback_metrics["test/accuracy"] = 0.99
"""


@pytest.mark.slow
def test_a_users_module_that_logs_one(train: Run, project: Path) -> None:
    """Nothing can be chosen by it, and no record of the run has it."""
    write_callback(project, LOGGER, "Logger")
    train("callbacks=spy", "trusted_modules=[spy]", "hydra.run.dir=run")
    record = json.loads((project / "run" / "run.json").read_text())
    names = {name for epoch in record["history"] for name in epoch} | set((record["best"] or {}).get("metrics", {}))
    assert not [name for name in names if "test" in name]
