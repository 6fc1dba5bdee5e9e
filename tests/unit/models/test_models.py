from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from holdfast.core.errors import InputError
from holdfast.models import cnn, linear, mlp

TABLE, DIGITS, MNIST = (10,), (1, 8, 8), (1, 28, 28)


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("model", "shape", "arguments", "expected"),
    [
        (linear, TABLE, {}, 10 * 3 + 3),
        (linear, MNIST, {"bias": False}, 784 * 3),
        (mlp, TABLE, {"hidden": [5, 4]}, 10 * 5 + 10 + 5 * 4 + 8 + 4 * 3 + 3),
        (mlp, DIGITS, {"hidden": [5], "norm": "none"}, 64 * 5 + 5 + 5 * 3 + 3),
        (mlp, TABLE, {"hidden": []}, 10 * 3 + 3),
        (mlp, TABLE, {"hidden": [4], "norm": "layer", "dropout": 0.5, "activation": "gelu"}, 44 + 8 + 15),
        (cnn, DIGITS, {"channels": [2, 4], "hidden": 5}, 18 + 4 + 72 + 8 + 16 * 5 + 10 + 5 * 3 + 3),
        (cnn, (3, 28, 30), {"channels": [2], "hidden": 5, "norm": "none"}, 56 + (2 * 14 * 15 * 5 + 5) + 18),
        (cnn, DIGITS, {"channels": [2], "hidden": 5, "norm": "layer"}, 20 + 4 + (32 * 5 + 5) + 10 + 18),
    ],
)
def test_shapes_and_sizes(model: Any, shape: tuple[int, ...], arguments: dict[str, Any], expected: int) -> None:
    network = model(input_shape=shape, num_outputs=3, **arguments)
    assert network(torch.zeros(2, *shape)).shape == (2, 3)
    assert num_parameters(network) == expected


def test_names_become_layers() -> None:
    network = mlp(input_shape=TABLE, num_outputs=1, hidden=[4], activation="tanh", norm="layer", dropout=0.25)
    kinds = [type(layer) for layer in network.children()]
    assert kinds == [nn.Flatten, nn.Linear, nn.LayerNorm, nn.Tanh, nn.Dropout, nn.Linear]


@pytest.mark.parametrize(
    ("model", "shape", "arguments", "message"),
    [
        (cnn, TABLE, {}, "model=cnn: takes images; a row of this data has the shape 10; next: model=mlp"),
        (
            cnn,
            (1, 8, 3),
            {},
            "model=cnn: 8 x 3 pixels are too few; allowed: at least 4 x 4; next: fewer layers that halve them",
        ),
        (cnn, DIGITS, {"kernel_size": 4}, "model.kernel_size: is 4; allowed: odd numbers from 1"),
        (mlp, TABLE, {"hidden": [4, 0]}, "model.hidden: is [4, 0]; allowed: whole numbers from 1"),
        (mlp, TABLE, {"dropout": 1.0}, "model.dropout: is 1.0; allowed: 0 <= dropout < 1"),
        (
            mlp,
            TABLE,
            {"norm": "bach"},
            "model.norm: unknown name 'bach'; allowed: none, batch, layer, group; next: did you mean 'batch'?",
        ),
    ],
)
def test_wrong_arguments(model: Any, shape: tuple[int, ...], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        model(input_shape=shape, num_outputs=3, **arguments)
    assert str(caught.value) == message
