from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from holdfast.core.errors import InputError
from holdfast.models.resnet import _PadShortcut, resnet

CIFAR = (3, 32, 32)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # He et al. 2016, table 6: 0.27 M, 0.46 M, 0.85 M; 16 3x3 kernels of 3 maps, then 6n layers, then 64 x 10
        ({"depth": 20}, 269722),
        ({"depth": 32}, 464154),
        ({"depth": 56}, 853018),
        # ResNet-18 with a 3 x 3 stem and ten outputs
        ({"depth": 18}, 11173962),
        # 6,573,120 with norms' gains, which the speed-run freezes at 1
        ({"depth": 9}, 6573120),
    ],
)
def test_numbers_of_parameters(arguments: dict[str, Any], expected: int) -> None:
    with torch.device("meta"):
        model = resnet(input_shape=CIFAR, num_outputs=10, **arguments)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize("depth", [8, 9, 18, 20])
@pytest.mark.parametrize("norm", ["batch", "none", "layer", "group"])
def test_small_images_of_any_size(depth: int, norm: str) -> None:
    for shape in [(1, 8, 8), (3, 9, 14)]:
        model = resnet(
            input_shape=shape, num_outputs=3, depth=depth, width=4, norm=norm, dropout=0.1, activation="silu"
        )
        assert model(torch.zeros(2, *shape)).shape == (2, 3)
        assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in model.modules()) >= depth


def test_the_last_linear_layer_gives_the_logits() -> None:
    for depth in (9, 18, 20):
        layers = resnet(input_shape=CIFAR, num_outputs=7, depth=depth, width=4).modules()
        assert [m for m in layers if isinstance(m, nn.Conv2d | nn.Linear)][-1].out_features == 7  # type: ignore[union-attr]


def test_channels_last_changes_no_value() -> None:
    outputs = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        model = resnet(input_shape=CIFAR, num_outputs=3, depth=9, width=4, channels_last=channels_last).eval()
        outputs.append(model(torch.ones(2, *CIFAR)))
    assert torch.allclose(*outputs, atol=1e-6)


def test_shortcut_without_parameters() -> None:
    x = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    y = _PadShortcut(2)(x)
    assert y.shape == (1, 4, 2, 2)
    assert torch.equal(y[0, 1], x[0, 0, ::2, ::2])
    assert torch.equal(y[0, 2], x[0, 1, ::2, ::2])
    assert not y[0, [0, 3]].any()


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((10,), {}, "model=resnet: takes images; a row of this data has the shape 10; next: model=mlp"),
        (
            (1, 7, 8),
            {"depth": 9},
            "model=resnet: 7 x 8 pixels are too few; allowed: at least 8 x 8; next: fewer layers that halve them",
        ),
        (CIFAR, {"depth": 21}, "model.depth: is 21; allowed: 9, 18, or 6n + 2: 8, 14, 20, 32, 44, 56, 110"),
        (CIFAR, {"width": 0}, "model.width: is [0]; allowed: whole numbers from 1"),
        (CIFAR, {"dropout": 1.5}, "model.dropout: is 1.5; allowed: 0 <= dropout < 1"),
    ],
)
def test_wrong_arguments(shape: tuple[int, ...], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        resnet(input_shape=shape, num_outputs=3, **arguments)
    assert str(caught.value) == message
