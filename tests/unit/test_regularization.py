from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from holdfast.core.errors import InputError
from holdfast.regularization import l1, l1_l2, l2
from small_runs import make_config, make_data


def small() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 0.5]]))
        model[2].weight.copy_(torch.tensor([[-4.0, 0.0]]))
    return model


@torch.no_grad()
def test_closed_forms() -> None:
    assert float(l1(small(), strength=0.1)) == pytest.approx(0.1 * 10.5)
    assert float(l2(small(), strength=0.1)) == pytest.approx(0.05 * 30.25)
    assert float(l1_l2(small(), l1_strength=0.2, l2_strength=0.1)) == pytest.approx(2.1 + 0.05 * 30.25)


def test_gradients_leave_biases_and_norms_out() -> None:
    model = small()
    l1_l2(model, l1_strength=0.2, l2_strength=0.1).backward()
    weight = model[0].weight
    assert torch.allclose(weight.grad, 0.2 * weight.detach().sign() + 0.1 * weight.detach())
    assert model[0].bias.grad is None
    assert model[1].weight.grad is None


def test_frozen_and_bare_models() -> None:
    assert float(l1(small().requires_grad_(False))) == 0.0


def test_a_negative_strength() -> None:
    with pytest.raises(InputError, match=r"^regularization\.strength: is -1; allowed: strength >= 0$"):
        l2(small(), strength=-1)


def test_l2_is_the_weight_decay_of_sgd(run, tmp_path: Path) -> None:
    """The same weights; and the loss in the record is that of the data alone."""
    term = {"_target_": "holdfast.regularization.l2", "strength": 0.3}
    decay = make_config("optimizer=sgd", "optimizer.weight_decay=0.3")
    added = make_config("optimizer=sgd")
    added.regularization = term
    for name, config in (("decay", decay), ("added", added)):
        run(config, make_data("multiclass"), name)
    histories = [json.loads((tmp_path / name / "run.json").read_bytes())["history"] for name in ("decay", "added")]
    for a, b in zip(*histories, strict=True):
        assert a["train/loss"] == pytest.approx(b["train/loss"], rel=1e-5)
        assert a["val/loss"] == pytest.approx(b["val/loss"], rel=1e-5)
