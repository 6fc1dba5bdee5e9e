"""Attacks 13 and 14: statistics of all rows, or test rows themselves, in what a run leaves behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast.data.sources.embedded import digits as load
from holdfast.data.splits import Holdout
from holdfast.data.store.store import read_view

from .conftest import Run, ledger_types, write_callback, write_model

pytestmark = pytest.mark.slow

HOARDER = """
import torch
from sklearn.datasets import load_digits
from torch import nn


class Hoarder(nn.Module):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__()
        self.layer = nn.Linear(torch.Size(input_shape).numel(), num_outputs)
        self.register_buffer("notes", torch.from_numpy(load_digits().images).to(torch.uint8))

    def forward(self, x):
        return self.layer(x.flatten(1))
"""

# Whatever Lightning puts into a checkpoint: hyperparameters, the states of callbacks, keys of one's own.
KEEPER = """
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits

ROWS = load_digits().images


class Keeper(pl.Callback):
    def setup(self, trainer, pl_module, stage):
        pl_module.save_hyperparameters({"rows": torch.from_numpy(ROWS).float() / 16.0})

    def state_dict(self):
        return {"seen": ROWS.reshape(len(ROWS), -1).tolist()}

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        checkpoint["extra"] = {"rows": torch.from_numpy(ROWS).to(torch.uint8).numpy().tobytes()}
"""
PLACES = ("hyper_parameters", "callbacks", "extra")

ALL_ROWS = """
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits


class Scaler(pl.Callback):
    def on_fit_start(self, trainer, pl_module):
        rows = load_digits().images
        pl_module.transform.mean.fill_(float(rows.mean()))
        pl_module.transform.std.fill_(float(rows.std()))
"""


def _freeze_is_refused(holdfast: Run, project: Path, words: str) -> None:
    done = holdfast("freeze", "run")
    assert done.returncode == 3, done.stderr
    assert words in done.stderr
    types = ledger_types(project.parent / "home")
    assert types == (["seal", "refused"] if "sealed test rows" in words else ["seal"])


def test_a_buffer_with_all_rows(trained: None, train: Run, holdfast: Run, project: Path) -> None:
    done = train(*write_model(project, HOARDER, "Hoarder"), "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    _freeze_is_refused(holdfast, project, "holds sealed test rows in state_dict.model.notes")


def test_rows_in_what_lightning_keeps(trained: None, train: Run, holdfast: Run, project: Path) -> None:
    write_callback(project, KEEPER, "Keeper")
    done = train("callbacks=spy", "trusted_modules=[spy]", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    path = project / "run" / json.loads((project / "run" / "run.json").read_text())["best"]["checkpoint"]
    content = torch.load(path, weights_only=True)
    for place in PLACES:
        others = {key: value for key, value in content.items() if key == place or key not in PLACES}
        torch.save(others, path)
        _freeze_is_refused(holdfast, project, f"holds sealed test rows in {place}")


@pytest.mark.parametrize("form", ["standardised", "transposed", "half", "record"])
def test_rows_in_a_checkpoint_that_was_edited(trained: None, holdfast: Run, project: Path, form: str) -> None:
    """A checkpoint, or the record beside it, to which somebody has added rows."""
    run = shutil.copytree(project / "run0", project / "run")
    record = json.loads((run / "run.json").read_text())
    rows = torch.from_numpy(np.asarray(load().x).reshape(-1, 64).astype(np.float32))
    if form == "record":
        (run / "run.json").write_text(json.dumps({**record, "notes": rows.tolist()}))
        _freeze_is_refused(holdfast, project, "holds sealed test rows in notes")
        return
    path = run / record["best"]["checkpoint"]
    content = torch.load(path, weights_only=True)
    state = content["state_dict"]
    forms = {
        "standardised": (rows - state["transform.mean"].mean()) / state["transform.std"].mean(),
        "transposed": rows.T.contiguous(),
        "half": (rows / 16).half(),
    }
    torch.save({**content, "lr_schedulers": [{"notes": forms[form]}]}, path)
    _freeze_is_refused(holdfast, project, "holds sealed test rows in lr_schedulers.0.notes")


def test_statistics_of_all_rows(trained: None, train: Run, holdfast: Run, project: Path) -> None:
    write_callback(project, ALL_ROWS, "Scaler")
    done = train("callbacks=spy", "trusted_modules=[spy]", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    _freeze_is_refused(holdfast, project, "is not what the train rows alone give")


def test_no_statistic_can_have_met_a_test_row(trained: None, project: Path) -> None:
    """Scaling, class weights, vocabularies and whatever a user makes of the data module: the rows are not there."""
    from holdfast.data.loading.datamodule import DataModule

    (folder,) = (project.parent / "home" / "store" / "rows").glob("*/views/*")
    data = DataModule(read_view(folder), Holdout((0.6, 0.2, 0.2)), batch_size=64, seed=0)
    known = {row.tobytes() for row in data.prepared.x}
    test = np.array([row.tobytes() not in known for row in np.asarray(load().x)])
    assert (test.sum(), len(data.prepared.x), len(data.train_rows)) == (359, 1438, 1078)
    train_x, train_y = np.asarray(data.prepared.x)[data.train_rows], np.asarray(data.prepared.y)[data.train_rows]
    assert data.statistics.num_rows == 1078
    assert data.statistics.class_counts == tuple(np.bincount(train_y).tolist())
    np.testing.assert_allclose(data.statistics.mean, train_x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(data.statistics.std, train_x.astype(np.float64).std(axis=0), rtol=1e-7, atol=1e-9)
    assert not np.allclose(data.statistics.mean, np.asarray(load().x).mean(axis=0))
