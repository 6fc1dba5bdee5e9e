from __future__ import annotations

from torch import nn

from holdfast.optim.param_groups import param_groups


def test_biases_and_norms_do_not_decay() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 4), nn.LayerNorm(4))
    decayed, kept = param_groups(model, weight_decay=0.1)
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 1, 3, 3), (4, 8)]
    assert "weight_decay" not in decayed
    assert [tuple(p.shape) for p in kept["params"]] == [(2,), (2,), (2,), (4,), (4,), (4,)]
    assert kept["weight_decay"] == 0.0


def test_one_group_without_decay() -> None:
    model = nn.Linear(3, 2)
    (group,) = param_groups(model, weight_decay=0.0)
    assert group == {"params": list(model.parameters())}


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1, bias=False))
    model[0].requires_grad_(False)
    (group,) = param_groups(model, weight_decay=0.1)
    assert [tuple(p.shape) for p in group["params"]] == [(1, 2)]
