from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from holdfast.core.errors import InputError
from holdfast.finetune import Freeze
from holdfast.training.checkpoints import read_checkpoint
from holdfast.training.pretrained import load_pretrained
from holdfast.training.restore import load_model
from small_runs import make_config, make_data

DATA = {"name": "made up", "task": "multiclass", "vault": "v" * 32, "rows": "v" * 32 + "-0/1"}


def weights(folder: Path, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "checkpoints" / name)["state_dict"]


@pytest.fixture
def pretrained(run, tmp_path: Path) -> Path:
    run(make_config(max_epochs=1), make_data("multiclass"), "pretrained", data=DATA)
    return tmp_path / "pretrained"


def tuned(run, pretrained: Path, *overrides: str, task: str = "multiclass", **values: Any) -> Any:
    config = make_config(f"model.pretrained={pretrained}", *overrides, **values)
    return run(config, make_data(task), "tuned", data=DATA)


def test_a_run_starts_from_the_best_weights_of_another(run, pretrained: Path, tmp_path: Path, capsys) -> None:
    record = tuned(run, pretrained, max_epochs=1, lr=1e-12)
    before, after = weights(pretrained), weights(tmp_path / "tuned")
    for name in before:
        if name.startswith("model.") and "running" not in name and "num_batches" not in name:
            assert torch.allclose(before[name], after[name], atol=1e-6), name
    (entry,) = record.fields["pretrained"]
    assert entry["initialised_anew"] == []
    assert (entry["run"], entry["vault"], entry["data"]) == ("pretrained", "v" * 32, "made up")
    assert len(entry["sha256"]) == 64
    assert "pretrained on made up in run pretrained (checkpoints/best-epoch01" in capsys.readouterr().out


def test_a_head_of_other_classes_is_initialised_anew(run, pretrained: Path, tmp_path: Path, capsys) -> None:
    record = tuned(run, pretrained, task="binary", max_epochs=1)
    assert record.fields["pretrained"][0]["initialised_anew"] == ["9.bias", "9.weight"]
    assert "; 9.bias, 9.weight initialised anew" in capsys.readouterr().out
    assert load_model(tmp_path / "tuned").predict(np.zeros((2, 6), np.float32)).shape == (2,)


def test_a_tuned_run_needs_its_own_folder_only(run, pretrained: Path, tmp_path: Path) -> None:
    tuned(run, pretrained)
    pretrained.rename(tmp_path / "elsewhere")
    assert load_model(tmp_path / "tuned").predict(np.zeros((2, 6), np.float32)).shape == (2, 3)


def test_where_the_weights_of_the_other_run_came_from_stays(run, pretrained: Path, tmp_path: Path) -> None:
    tuned(run, pretrained)
    config = make_config(f"model.pretrained={tmp_path / 'tuned' / 'checkpoints' / 'last.ckpt'}")
    record = run(config, make_data("multiclass"), "third", data=DATA)
    assert [entry["run"] for entry in record.fields["pretrained"]] == ["tuned", "pretrained"]
    assert record.fields["pretrained"][0]["checkpoint"] == "checkpoints/last.ckpt"


def test_a_body_of_another_shape_is_told_with_both(pretrained: Path) -> None:
    from holdfast.models import mlp

    with pytest.raises(InputError) as caught:
        load_pretrained(mlp(input_shape=(6,), num_outputs=3, hidden=[128, 32]), str(pretrained))
    lines = str(caught.value).splitlines()
    path = next((pretrained / "checkpoints").glob("best-*"))
    assert lines[0] == f"model.pretrained: 5.weight is 32 x 128 in this model and 64 x 128 in {path}"
    assert lines[-1] == "model.pretrained: and 2 more differ; next: take the model options of that run"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "model.pretrained: there is no run or checkpoint nowhere"),
        (".", "is not a run"),
        ("file.ckpt", "does not lie in the folder of a run"),
    ],
)
def test_what_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.ckpt").touch()
    with pytest.raises(InputError, match=message):
        load_pretrained(nn.Linear(1, 1), place)


def after_each_epoch(run, config: Any) -> list[dict[str, torch.Tensor]]:
    """The network's state before the first epoch and after each."""
    seen: list[dict[str, torch.Tensor]] = []

    class Look(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            seen.append({name: value.clone() for name, value in pl_module.model.state_dict().items()})

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            self.on_train_start(trainer, pl_module)

    run(config, make_data("multiclass"), "tuned", callbacks=[Look()], data=DATA)
    return seen


@pytest.mark.parametrize("optimizer", ["adamw", "momentum"])
def test_a_frozen_body_is_still_until_its_epoch(run, pretrained: Path, optimizer: str) -> None:
    overrides = [f"optimizer={optimizer}", f"model.pretrained={pretrained}", "model.dropout=0.5"]
    config = make_config(*overrides, "optimizer.weight_decay=0.1", max_epochs=4)
    config.finetune = {"_target_": "holdfast.finetune.Freeze", "unfreeze_epoch": 3}
    seen = after_each_epoch(run, config)
    head = max(seen[0], key=lambda name: (int(name.partition(".")[0]), name)).partition(".")[0]
    for name in seen[0]:
        moved = [not torch.equal(a[name], b[name]) for a, b in pairwise(seen)]
        assert moved == ([True] * 4 if name.startswith(f"{head}.") else [False, False, True, True]), name


def test_a_body_that_is_never_trained(run, pretrained: Path) -> None:
    config = make_config(f"model.pretrained={pretrained}")
    config.finetune = {"_target_": "holdfast.finetune.Freeze"}
    seen = after_each_epoch(run, config)
    assert [name for name in seen[0] if not torch.equal(seen[0][name], seen[-1][name])] == ["9.weight", "9.bias"]


@pytest.mark.parametrize("epoch", [1, 0, 3])
def test_the_epoch_is_one_of_the_training(epoch: int) -> None:
    message = rf"finetune\.unfreeze_epoch: is {epoch}; allowed: null \(never\), or 2 to 2"
    with pytest.raises(InputError, match=message):
        Freeze(epoch).prepare(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), 2)


def test_pretraining_without_labels(run, tmp_path: Path) -> None:
    config = make_config("model=autoencoder", "loss=reconstruction", max_epochs=3)
    record = run(config, make_data("multiclass", image=True), "pretrained", data=DATA)
    history = record.fields["history"]
    assert {name for name in history[0] if "/" in name} == {"train/loss", "val/loss"}
    assert history[-1]["val/loss"] < history[0]["val/loss"]
    with pytest.raises(InputError, match="gives rows back and predicts nothing"):
        load_model(tmp_path / "pretrained")
    overrides = ["model=autoencoder", f"model.pretrained={tmp_path / 'pretrained'}"]
    record = run(make_config(*overrides), make_data("multiclass", image=True), "tuned", data=DATA)
    assert record.fields["pretrained"][0]["loss"] == "holdfast.losses.reconstruction"
    before, after = weights(tmp_path / "pretrained"), weights(tmp_path / "tuned")
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert any(name.startswith("model.encoder") for name in moved)
    assert not any(name.startswith("model.decoder") and "running" not in name for name in moved)


def test_the_reconstruction_loss_is_the_mean_square(run, tmp_path: Path) -> None:
    data = make_data("regression")
    config = make_config("model=autoencoder", "loss=reconstruction", "model.norm=none", max_epochs=1, lr=1e-12)
    record = run(config, data, data=DATA)
    from holdfast.models import autoencoder

    model = autoencoder(input_shape=(6,), num_outputs=1, norm="none")
    state = weights(tmp_path / "run")
    model.load_state_dict({name[6:]: value for name, value in state.items() if name.startswith("model.")})
    x = (data.val_x - state["transform.mean"]) / state["transform.std"]
    expected = (model.reconstruct(x) - x).square().mean().item()
    assert record.fields["best"]["value"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss=reconstruction"], "loss=reconstruction: is trained to give rows back, which this model does not"),
        (
            ["loss=reconstruction", "model=autoencoder"],
            "monitor: is 'val/accuracy', which no metric produces for a recon",
        ),
    ],
)
def test_what_does_not_reconstruct(run, overrides: list[str], message: str) -> None:
    monitor = "val/loss" if len(overrides) == 1 else "val/accuracy"
    with pytest.raises(InputError, match=message):
        run(make_config(*overrides, monitor=monitor), make_data("multiclass"), data=DATA)
