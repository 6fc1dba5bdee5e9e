from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.core.errors import InputError
from holdfast.rates import body_and_head, layerwise, uniform
from small_runs import make_config, make_data


def model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3)
    )


def test_uniform() -> None:
    assert uniform(model()) == {}


def test_body_and_head() -> None:
    names = ("0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias")
    assert body_and_head(model(), body_lr_factor=0.2) == dict.fromkeys(names, 0.2)


def test_layerwise() -> None:
    factors = layerwise(model(), layer_decay=0.5)
    assert factors == {
        **dict.fromkeys(("0.weight", "0.bias", "1.weight", "1.bias"), 0.25),
        **dict.fromkeys(("3.weight", "3.bias"), 0.5),
        **dict.fromkeys(("5.weight", "5.bias"), 1.0),
    }


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.5, float("nan")])
def test_wrong_factors(factor: float) -> None:
    with pytest.raises(InputError, match=r"rates\.body_lr_factor: is .*; allowed: 0 < body_lr_factor <= 1"):
        body_and_head(model(), body_lr_factor=factor)
    with pytest.raises(InputError, match=r"rates\.layer_decay: is "):
        layerwise(model(), layer_decay=factor)


def test_a_model_of_one_layer_has_no_body() -> None:
    with pytest.raises(InputError, match="model: has no body: its only layer gives the logits"):
        body_and_head(nn.Linear(3, 2))


def test_the_schedule_scales_all_groups_alike(run) -> None:
    """Rates of every step, seen by a callback."""
    import pytorch_lightning as pl

    seen: list[list[float]] = []

    class Rates(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
            seen.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    config = make_config("schedule=linear", "optimizer=momentum", "optimizer.weight_decay=0.1", lr=0.1)
    config.rates = {"_target_": "holdfast.rates.layerwise", "layer_decay": 0.5}
    run(config, make_data("multiclass"), callbacks=[Rates()])
    starts = torch.tensor([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])
    expected = starts[None] * torch.linspace(1, 0, 17)[:16, None]
    assert torch.allclose(torch.tensor(seen), expected)


def test_lbfgs_has_one_rate(run) -> None:
    config = make_config("optimizer=lbfgs", lr=1.0)
    config.rates = {"_target_": "holdfast.rates.body_and_head", "body_lr_factor": 0.5}
    with pytest.raises(InputError, match=r"rates: give several rates, and lbfgs has one .*; next: rates=uniform"):
        run(config, make_data("multiclass"))


def test_lbfgs_counts_every_row_once(run) -> None:
    """The first loss of each step: of the full batch at equal outputs it is the spread of the target, 1."""
    data = make_data("regression")
    data.batch_size = 120
    config = make_config("optimizer=lbfgs", "model=linear", lr=1.0, max_epochs=3, batch_size=120)
    config.init = {"_target_": "holdfast.init.zero_last"}
    history = run(config, data).fields["history"]
    assert [entry["step"] for entry in history] == [1, 2, 3]
    assert history[0]["train/loss"] == pytest.approx(1.0, abs=1e-5)
    assert history[1]["train/loss"] < 1e-6


def test_what_lbfgs_cannot_do(run) -> None:
    overrides = [
        "optimizer.max_iter=0",
        "optimizer.max_eval=0",
        "optimizer.history_size=0",
        "optimizer.line_search_fn=armijo",
        "trainer.accumulate_grad_batches=2",
        "trainer.gradient_clip_val=1",
    ]
    with pytest.raises(InputError) as caught:
        run(make_config("optimizer=lbfgs", *overrides, lr=1.0), make_data("multiclass"))
    assert [problem.where for problem in caught.value.problems] == [
        override.partition("=")[0] for override in overrides
    ]
