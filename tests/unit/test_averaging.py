from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.training.checkpoints import read_checkpoint
from holdfast.training.module import SupervisedModule
from holdfast.training.restore import load_model
from small_runs import make_config, make_data

STEPS, EPOCHS = 8, 4


@pytest.fixture
def weights_of(run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Tensor]]]:
    """The state of the module in front of every step, and after the last one, of a run with these overrides."""

    def train(*overrides: str, name: str = "run") -> list[dict[str, Tensor]]:
        states: list[dict[str, Tensor]] = []
        plain = SupervisedModule.training_step

        def training_step(self: SupervisedModule, batch: Any, batch_idx: int) -> Tensor:
            states.append({key: value.clone() for key, value in self.state_dict().items()})
            return plain(self, batch, batch_idx)

        with monkeypatch.context() as patch:
            patch.setattr(SupervisedModule, "training_step", training_step)
            run(make_config(*overrides, max_epochs=EPOCHS), make_data("multiclass"), name)
        return states

    return train


def saved(folder: Path, key: str = "state_dict") -> dict[str, Tensor]:
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")[key]


def parameters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k.startswith("model.") and v.is_floating_point() and "running" not in k}


def after_each_step(states: list[dict[str, Tensor]], folder: Path) -> list[dict[str, Tensor]]:
    return [*states[1:], saved(folder, "current_model_state")]


def test_ema_is_the_recursion(weights_of, tmp_path: Path) -> None:
    states = weights_of("averaging=ema", "averaging.decay=0.9", "trainer.precision=64-true")
    states = after_each_step(states, tmp_path / "run")
    assert len(states) == STEPS * EPOCHS
    for name, value in saved(tmp_path / "run").items():
        if name.startswith("model.") and value.is_floating_point():
            expected = states[0][name]
            for state in states[1:]:
                expected = 0.9 * expected + 0.1 * state[name]
            torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-14)


def test_ema_that_begins_later_and_updates_seldom(weights_of, tmp_path: Path) -> None:
    words = ("averaging=ema", "averaging.decay=0.5", "averaging.start=0.5", "averaging.every_num_steps=3")
    states = after_each_step(weights_of(*words, "trainer.precision=64-true"), tmp_path / "run")
    chosen = [state for number, state in enumerate(states, start=1) if number % 3 == 0 and number > 2 * STEPS]
    for name, value in parameters(saved(tmp_path / "run")).items():
        expected = chosen[0][name]
        for state in chosen[1:]:
            expected = 0.5 * expected + 0.5 * state[name]
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-14)


def test_swa_is_the_mean_after_the_last_epochs(weights_of, tmp_path: Path) -> None:
    words = ("averaging=swa", "averaging.start=0.25", "trainer.precision=64-true")
    ends = after_each_step(weights_of(*words), tmp_path / "run")[STEPS - 1 :: STEPS]
    for name, value in parameters(saved(tmp_path / "run")).items():
        expected = sum(state[name] for state in ends[1:]) / 3
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-14)


def test_batch_norm_of_swa_has_the_statistics_of_the_train_rows(weights_of, tmp_path: Path) -> None:
    weights_of("averaging=swa", "averaging.start=0.5")
    data = make_data("multiclass")
    module = load_model(tmp_path / "run", "checkpoints/last.ckpt").module
    first_norm = next(index for index, layer in enumerate(module.model) if isinstance(layer, torch.nn.BatchNorm1d))
    means, variances = [], []
    with torch.no_grad():
        for x, _ in data.train_dataloader():
            hidden = module.model[:first_norm](module.transform(x))
            means.append(hidden.mean(dim=0))
            variances.append(hidden.var(dim=0))
    norm = module.model[first_norm]
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, torch.stack(variances).mean(dim=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("option", ["ema", "swa"])
def test_val_metrics_are_those_of_the_average(run, tmp_path: Path, option: str) -> None:
    data = make_data("multiclass")
    record = run(make_config(f"averaging={option}", "averaging.start=0.3", max_epochs=4), data)
    predicted = load_model(tmp_path / "run").predict(data.val_x.numpy())
    y = data.val_y.numpy()
    best = record.fields["best"]
    assert -np.log(predicted[np.arange(len(y)), y]).mean() == pytest.approx(best["value"], rel=1e-4)
    assert (predicted.argmax(axis=1) == y).mean() == pytest.approx(best["metrics"]["val/accuracy"])


@pytest.mark.parametrize("option", ["ema", "swa"])
def test_before_it_begins_the_average_is_the_model(run, option: str) -> None:
    plain = run(make_config(max_epochs=4), make_data("multiclass"), "plain").fields["history"]
    config = make_config(f"averaging={option}", "averaging.start=0.75", max_epochs=4)
    averaged = run(config, make_data("multiclass"), "averaged").fields["history"]
    assert [entry["val/loss"] for entry in averaged[:3]] == [entry["val/loss"] for entry in plain[:3]]
    assert [entry["train/loss"] for entry in averaged] == [entry["train/loss"] for entry in plain]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["averaging=ema", "averaging.decay=1"], r"averaging\.decay: is 1; allowed: 0 <= decay < 1"),
        (["averaging=swa", "averaging.start=1"], r"averaging\.start: is 1; allowed: 0 <= start < 1"),
        (["averaging=ema", "averaging.every_num_steps=0"], r"averaging\.every_num_steps: is 0; allowed: whole numbers"),
    ],
)
def test_what_cannot_be_averaged(run, overrides: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        run(make_config(*overrides), make_data("multiclass"))
