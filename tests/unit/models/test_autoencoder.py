from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from holdfast.core.errors import InputError
from holdfast.models import autoencoder


def test_shapes() -> None:
    model = autoencoder(input_shape=(1, 8, 8), num_outputs=3, hidden=[10, 5], code=2)
    x = torch.zeros(4, 1, 8, 8)
    assert model(x).shape == (4, 3)
    assert model.reconstruct(x).shape == x.shape
    assert [layer.out_features for layer in model.modules() if isinstance(layer, nn.Linear)] == [10, 5, 2, 5, 10, 64, 3]


def test_noise_in_training_only() -> None:
    model = autoencoder(input_shape=(6,), num_outputs=1, hidden=[], code=3, norm="none", activation="tanh", noise=1.0)
    x = torch.zeros(2, 6)
    assert not torch.equal(model.reconstruct(x)[0], model.reconstruct(x)[1])
    model.eval()
    assert torch.equal(model.reconstruct(x)[0], model.reconstruct(x)[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"code": 0}, "model.code: is [0]; allowed: whole numbers from 1"),
        ({"noise": -1.0}, "model.noise: is -1.0; allowed: noise >= 0"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        autoencoder(input_shape=(6,), num_outputs=3, **arguments)
    assert str(caught.value) == message
