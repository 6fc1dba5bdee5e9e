"""Attacks 3 and 4: a user's code asks for the test rows by every door that Lightning has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run, write_callback

pytestmark = pytest.mark.slow

ASKER = """
import json
from pathlib import Path

import pytorch_lightning as pl
from holdfast.core.errors import VaultLocked

HOOKS = [name for name in vars(pl.Callback) if name.startswith(("on_train", "on_validation", "on_fit", "on_sanity"))]


def ask(trainer):
    data, told = trainer.datamodule, {}
    for name, door in {
        "test": lambda: data.test_dataloader(),
        "predict": lambda: data.predict_dataloader(),
        "setup": lambda: (data.setup("test"), data.test_dataloader()),
        "second": lambda: pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False,
                                     enable_checkpointing=False).test(trainer.lightning_module, datamodule=data),
        "validate": lambda: pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False,
                                       enable_checkpointing=False).predict(trainer.lightning_module, datamodule=data),
    }.items():
        if name in ("second", "validate") and trainer.training:
            continue
        try:
            door()
            told[name] = "OPEN"
        except VaultLocked:
            told[name] = "locked"
        except Exception as error:
            told[name] = type(error).__name__
    return told


class Asker(pl.Callback):
    def __init__(self):
        self.told = {}


def hook(name):
    def call(self, trainer, *values, **options):
        if name not in self.told:
            self.told[name] = ask(trainer)
            Path("told.json").write_text(json.dumps(self.told))
    return call


for name in HOOKS:
    setattr(Asker, name, hook(name))
"""


def test_every_hook_finds_the_door_locked(train: Run, project: Path) -> None:
    write_callback(project, ASKER, "Asker")
    done = train("callbacks=spy", "trusted_modules=[spy]", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    by_hook = json.loads((project / "told.json").read_text())
    assert len(by_hook) > 8
    words = {word for answers in by_hook.values() for word in answers.values()}
    # A second Trainer also finds no `test_step`; that answer is as good.
    assert words <= {"locked", "MisconfigurationException"}
    assert {answers[door] for answers in by_hook.values() for door in ("test", "predict", "setup")} == {"locked"}


def test_a_users_model_cannot_name_the_vault(train: Run, project: Path) -> None:
    done = train("+model._target_=holdfast.vault.opening.open_x")
    assert done.returncode == 2
    assert "holdfast.vault" in done.stderr
