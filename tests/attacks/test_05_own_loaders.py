"""Attack 5: a loader of the user's own over the official test files, given to the model in training or in a check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .conftest import Run, environment_of, ledger_entries, run_training, write_callback

pytestmark = pytest.mark.slow

PEEKER = """
import gzip
import os
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from holdfast.training.restore import load_model
from torch.utils.data import DataLoader, TensorDataset

FOLDER = "FOLDER"


def read(name, skip):
    with gzip.open(os.path.join(FOLDER, name)) as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=skip).copy())


X = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
Y = read("t10k-labels-idx1-ubyte.gz", 8).long()


def loader(*tensors):
    return DataLoader(TensorDataset(*tensors), batch_size=500)


def second():
    return pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)


def score(module, x, y):
    return (module.predict(x).argmax(1) == y).float().mean()


class Peeker(pl.Callback):
    def METHOD(self, trainer, module, *rest):
        CODE
        open("peeked", "w").write("seen")
"""
DOORS = {
    "validate": ("on_fit_end", "trainer.validate(module, dataloaders=loader(X, Y), verbose=False)"),
    "predict": ("on_train_end", "second().predict(module, dataloaders=DataLoader(X, batch_size=500))"),
    "fit": ("on_train_start", "second().fit(module, train_dataloaders=loader(X, Y), val_dataloaders=loader(X, Y))"),
    "one's own loop": ("on_validation_end", "score(module, X, Y)"),
    "the network alone": ("on_train_epoch_end", "module.model((X.permute(0, 3, 1, 2) / 255 - 0.1307) / 0.3081)"),
    "forward by hand": ("on_train_epoch_end", "module.model.forward(module.transform.forward(X))"),
    "layers by hand": (
        "on_train_epoch_end",
        "[m(((X / 255 - 0.1307) / 0.3081).flatten(1)) for m in module.model.modules() if hasattr(m, 'in_features')]",
    ),
    "a loaded checkpoint": (
        "on_train_end",
        "load_model(Path(trainer.default_root_dir)).predict(X.numpy())",
    ),
    "a test step": (
        "on_train_end",
        "module.test_step = lambda batch, batch_idx: module(batch[0]); second().test(module, loader(X, Y))",
    ),
}


@pytest.fixture(scope="module")
def mnist_once(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A home in which MNIST is sealed, its official part as test."""
    folder = tmp_path_factory.mktemp("mnist")
    (folder / "project").mkdir()
    done = run_training(*_mnist(shared_data), cwd=folder / "project", environment=environment_of(folder / "home"))
    assert done.returncode == 0, done.stderr
    return folder / "home"


def _mnist(shared_data: Path) -> list[str]:
    return ["data=mnist", f"data.path={shared_data / 'mnist'}", "model=linear", "trainer.limit_train_batches=2"]


@pytest.mark.parametrize("door", DOORS)
def test_the_official_test_files(train: Run, project: Path, shared_data: Path, mnist_once: Path, door: str) -> None:
    home = project.parent / "home"
    shutil.copytree(mnist_once, home)
    method, code = DOORS[door]
    text = PEEKER.replace('"FOLDER"', repr(str(shared_data / "mnist")))
    write_callback(project, text.replace("METHOD", method).replace("CODE", code), "Peeker")
    done = train(*_mnist(shared_data), "callbacks=spy", "trusted_modules=[spy]", "hydra.run.dir=run")
    assert done.returncode == 3, done.stderr
    assert "rows that were handed to the model are sealed in vault" in done.stderr
    assert not (project / "peeked").exists()
    record = json.loads((project / "run" / "run.json").read_text())
    assert (record["status"], record["error"]["code"]) == ("failed", "vault")
    (refused,) = (entry for entry in ledger_entries(home) if entry["type"] == "refused")
    assert refused["body"]["reason"] == "sealed rows were handed to a model while it was trained"


PENALTY = """
import numpy as np
import torch
from sklearn.datasets import load_digits

X = torch.from_numpy(load_digits().images.astype(np.float32)).unsqueeze(1) / 16


def penalty(model):
    return 0.0 * model((X - 0.3) / 0.4).sum()
"""


def test_a_penalty_that_scores_the_test_rows_while_it_is_checked(train: Run, project: Path) -> None:
    """No training: the checks alone call it with a model, which may have been trained elsewhere."""
    (project / "mine.py").write_text(PENALTY)
    (project / "conf" / "regularization").mkdir(parents=True)
    (project / "conf" / "regularization" / "mine.yaml").write_text("_target_: mine.penalty\n_partial_: true\n")
    done = train("stage=check", "check=gradient", "regularization=mine", "trusted_modules=[mine]")
    assert done.returncode == 3, done.stderr
    assert "359 rows that were handed to the model are sealed in vault" in done.stderr
    (refused,) = (entry for entry in ledger_entries(project.parent / "home") if entry["type"] == "refused")
    assert refused["body"]["reason"] == "sealed rows were handed to a model while it was trained"
