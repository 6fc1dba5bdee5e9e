from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from holdfast import init
from holdfast.config.groups import CONF
from holdfast.core.errors import InputError

IN, OUT, CHANNELS = 600, 400, 96
LINEAR = {"fan_in": IN, "fan_out": OUT}
CONV = {"fan_in": CHANNELS * 9, "fan_out": 64 * 9}


def model() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(CHANNELS, 64, 3), nn.Linear(IN, OUT), nn.LayerNorm(5), nn.Linear(300, 10)]
    return nn.Sequential(*layers)


def xavier(fans: dict[str, int]) -> float:
    return 2 / (fans["fan_in"] + fans["fan_out"])


VARIANCES: list[tuple[Any, Any, bool]] = [
    (init.xavier_uniform, xavier, True),
    (partial(init.xavier_uniform, gain=2.0), lambda fans: 4 * xavier(fans), True),
    (init.xavier_normal, xavier, False),
    (init.he_uniform, lambda fans: 2 / fans["fan_in"], True),
    (init.he_normal, lambda fans: 2 / fans["fan_in"], False),
    (partial(init.he_normal, mode="fan_out"), lambda fans: 2 / fans["fan_out"], False),
    (init.small_random, lambda fans: 0.01**2, False),
]


@torch.no_grad()
@pytest.mark.parametrize(("option", "variance", "is_uniform"), VARIANCES)
def test_variance_of_large_layers(option: Any, variance: Any, is_uniform: bool) -> None:
    built = model()
    option(built)
    for layer, fans in ((built[0], CONV), (built[1], LINEAR)):
        expected = variance(fans)
        assert float(layer.weight.var()) == pytest.approx(expected, rel=0.03)
        assert abs(float(layer.weight.mean())) < 0.02 * math.sqrt(expected)
        most = float(layer.weight.abs().max()) / math.sqrt(expected)
        assert most == pytest.approx(math.sqrt(3), rel=0.01) if is_uniform else most > 3.5
        assert not layer.bias.any()
    assert built[2].weight.eq(1).all()


def test_orthogonal() -> None:
    built = model()
    init.orthogonal(built, gain=2.0)
    weight = built[1].weight
    assert torch.allclose(weight @ weight.T, 4 * torch.eye(OUT), atol=1e-4)
    kernel = built[0].weight.flatten(1)
    assert torch.allclose(kernel @ kernel.T, 4 * torch.eye(64), atol=1e-4)


@pytest.mark.parametrize("name", sorted({path.stem for path in (CONF / "init").glob("*.yaml")} - {"default"}))
def test_the_last_layer_at_zero(name: str) -> None:
    option = getattr(init, name)
    built, as_made = model(), model()
    option(built) if name == "zero_last" else option(built, zero_last=True)
    assert not built[3].weight.any()
    assert not built[3].bias.any()
    assert built[1].weight.any()
    assert torch.equal(built[1].weight, as_made[1].weight) is (name == "zero_last")


def test_the_seed_decides() -> None:
    first, second = model(), model()
    for built in (first, second):
        torch.manual_seed(3)
        init.he_normal(built)
    assert torch.equal(first[1].weight, second[1].weight)


def test_mistakes() -> None:
    with pytest.raises(InputError, match=r"^init\.std: is -1; allowed: std > 0$"):
        init.small_random(model(), std=-1)
    with pytest.raises(InputError, match=r"^model: has no linear layer and no convolution$"):
        init.he_normal(nn.ReLU())


def test_biases() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    init.he_normal(model, bias=0.1, zero_last=True)
    assert (model[0].bias == 0.1).all()
    assert (model[1].bias == 0.0).all()
    assert (model[2].bias == 0.0).all()
    with pytest.raises(InputError, match=r"init\.bias: is nan; allowed: a finite number"):
        init.he_normal(model, bias=float("nan"))
