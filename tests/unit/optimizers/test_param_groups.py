from __future__ import annotations

import pytest
import torch
from torch import nn

from holdfast.core.errors import InputError
from holdfast.optimizers.param_groups import param_groups


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


def test_shares_of_the_rate_and_decay_together() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    factors = {"0.weight": 0.5, "0.bias": 0.5}
    groups = param_groups(model, weight_decay=0.1, lr=0.2, factors=factors)
    assert [(group.get("lr"), group.get("weight_decay"), len(group["params"])) for group in groups] == [
        (None, None, 1),
        (None, 0.0, 1),
        (0.1, None, 1),
        (0.1, 0.0, 1),
    ]
    optimizer = torch.optim.SGD(groups, lr=0.2, weight_decay=0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.2, 0.1, 0.1]


def test_shares_need_a_rate() -> None:
    with pytest.raises(InputError, match=r"rates: are shares of optimizer\.lr"):
        param_groups(nn.Linear(3, 2), weight_decay=0.0, factors={"weight": 0.5})
