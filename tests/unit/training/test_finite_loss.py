"""A user's loss that turns bad at a step, and gradients that explode."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from holdfast.core.errors import RunFailed
from holdfast.training.checkpoints import read_checkpoint
from holdfast.training.finite_loss import FiniteLoss
from small_runs import make_config, make_data


@pytest.fixture
def bad_loss(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A loss `my_losses.turning` that gives `value` from its call `at` in training on, or breaks the gradient."""
    plan: dict[str, Any] = {"at": 10, "value": float("nan"), "gradient_only": False, "calls": 0}

    def turning() -> Any:
        def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            value = torch.nn.functional.mse_loss(outputs, targets)
            if not torch.is_grad_enabled() or not outputs.requires_grad or not targets.any():  # not of a training step
                return value
            plan["calls"] += 1
            if plan["calls"] < plan["at"]:
                return value
            if plan["gradient_only"]:
                outputs.register_hook(lambda gradient: gradient * plan["value"])
                return value
            return value * plan["value"]

        return loss

    module = ModuleType("my_losses")
    module.turning = turning  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_losses", module)
    return plan


def config(*overrides: str, **values: Any) -> Any:
    made = make_config("model.norm=none", *overrides, max_epochs=3, **values)
    made.loss = {"_target_": "my_losses.turning"}
    return made


# 120 train rows in batches of 16: 8 a epoch, 4 steps with accumulation
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("overrides", "place"),
    [
        ([], r"step 10 \(epoch 2, batch 2, lr 0.01\)"),
        (["trainer.accumulate_grad_batches=2"], r"step 5 \(epoch 2, batch 2, lr 0.01\)"),
        (["trainer.precision=bf16-mixed"], r"step 10 \(epoch 2, batch 2, lr 0.01\)"),
        (["schedule=linear"], r"step 10 \(epoch 2, batch 2, lr 0.00625\)"),
    ],
)
def test_the_step_the_rate_and_the_weights_are_named(  # noqa: PLR0917
    run, tmp_path: Path, bad_loss: dict[str, Any], overrides: list[str], place: str, value: str
) -> None:
    bad_loss["value"] = float(value)
    expected = rf"^train/loss: is {value} in {place}; next: a smaller lr, .* are in checkpoints/last\.ckpt$"
    with pytest.raises(RunFailed, match=expected):
        run(config(*overrides), make_data("regression"))
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert len(checkpoint["holdfast"]["history"]) == 1
    assert all(torch.isfinite(value).all() for value in checkpoint["state_dict"].values())


def test_gradients_that_explode_are_told_one_step_later(run, bad_loss: dict[str, Any]) -> None:
    bad_loss.update(gradient_only=True, value=float("inf"))
    with pytest.raises(RunFailed, match=r"train/loss: is nan in step 11 \(epoch 2, batch 3"):
        run(config(), make_data("regression"))


def test_the_last_step_of_an_epoch_is_told_by_the_val_loss(run, tmp_path: Path, bad_loss: dict[str, Any]) -> None:
    bad_loss.update(gradient_only=True, value=float("inf"), at=16)
    with pytest.raises(RunFailed, match=r"val/loss: is nan after epoch 2 \(step 16"):
        run(config(), make_data("regression"))
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert all(torch.isfinite(value).all() for value in checkpoint["state_dict"].values())


def test_losses_are_looked_at_together_where_a_device_must_be_waited_for() -> None:
    class Trainer:
        current_epoch = 0

    watch = FiniteLoss()
    watch._losses = [torch.tensor(1.0), torch.tensor(float("inf")), torch.tensor(float("nan"))]
    watch._places = [(1, 1, 0.1), (2, 2, 0.1), (3, 3, 0.1)]
    with pytest.raises(RunFailed, match=r"is inf in step 2 \(epoch 1, batch 2, lr 0\.1\)"):
        watch.on_train_epoch_end(Trainer(), None)  # type: ignore[arg-type]
