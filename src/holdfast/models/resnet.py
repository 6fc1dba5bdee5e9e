"""Residual networks for small images: those for CIFAR-10 of He et al., ResNet-18, and the speed-runs' ResNet-9."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from holdfast.core.errors import require
from holdfast.models.layers import activation_of, check_image, check_sizes, dropout_of, image_norm, laid_out

Stack = Callable[..., list[nn.Module]]
LEAST_SIDE = {9: 8}


def resnet(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    depth: int = 20,
    width: int | None = None,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
    channels_last: bool = False,
) -> nn.Module:
    """A residual network with `depth` layers that have weights.

    * 6n + 2 (20, 32, 44, 56, 110): three stages of n blocks, shortcuts without parameters (He et al. 2016, 4.2).
    * 18: four stages of two blocks, projections where a stage begins (He et al. 2016, table 1), with a 3 x 3 stem and
      no pooling in front, as is usual for images of 32 pixels.
    * 9: two residual blocks between convolutions with 2 x 2 pooling, logits times 1/8 (Page 2018, "How to train your
      ResNet", part 4).

    Args:
        depth: 9, 18 or 6n + 2.
        width: Feature maps of the first stage, doubled by each later one; None: 16 for 6n + 2, else 64.
        activation, norm: As of `mlp`.
        dropout: Share of the pooled features set to zero in training.
        channels_last: Kernels in this order; see `layers.laid_out`.
    """
    check_image("model=resnet", input_shape, least_side=LEAST_SIDE.get(depth, 1))
    is_known = depth in (9, 18) or (depth >= 8 and (depth - 2) % 6 == 0)
    require(is_known, "model.depth", depth, "9, 18, or 6n + 2: 8, 14, 20, 32, 44, 56, 110")
    first = width if width is not None else 16 if (depth - 2) % 6 == 0 else 64
    check_sizes("model.width", [first])

    def convolution(maps_in: int, maps: int, stride: int = 1) -> list[nn.Module]:
        layer = nn.Conv2d(maps_in, maps, 3, stride=stride, padding=1, bias=norm != "batch")
        return [layer, *image_norm(norm, maps)]

    active = partial(activation_of, activation)
    if depth == 9:
        body, features = _page(convolution, active, input_shape[0], first)
        network = nn.Sequential(*body, *dropout_of(dropout), _ScaledLinear(features, num_outputs))
        return laid_out(network, channels_last)
    stages = [2] * 4 if depth == 18 else [(depth - 2) // 6] * 3
    layers: list[nn.Module] = [*convolution(input_shape[0], first), active()]
    maps = first
    for stage, num_blocks in enumerate(stages):
        for block in range(num_blocks):
            wider, stride = first * 2**stage, 2 if stage and not block else 1
            inner = [*convolution(maps, wider, stride), active(), *convolution(wider, wider)]
            layers.append(_Residual(nn.Sequential(*inner), _shortcut(maps, wider, norm, depth), active()))
            maps = wider
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *dropout_of(dropout), nn.Linear(maps, num_outputs)]
    return laid_out(nn.Sequential(*layers), channels_last)


class _Residual(nn.Module):
    """activation(shortcut(x) + body(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.activation = body, shortcut, activation

    def forward(self, x: Tensor) -> Tensor:
        """(rows, maps, height, width) -> the same, or wider and smaller."""
        out: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return out


class _PadShortcut(nn.Module):
    """Takes every second pixel, and zeros for the new maps, without parameters (He et al. 2016, option A)."""

    def __init__(self, new_maps: int) -> None:
        super().__init__()
        self.new_maps = new_maps

    def forward(self, x: Tensor) -> Tensor:
        """(rows, maps, height, width) -> (rows, maps + new, height / 2, width / 2)."""
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.new_maps // 2, self.new_maps - self.new_maps // 2))


class _EverySecondPixel(nn.Module):
    """Takes every second pixel for the 1 x 1 convolution behind it.

    With stride 2, oneDNN would write beyond its memory where there are few channels (its issue 6035).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(rows, maps, height, width) -> (rows, maps, height / 2, width / 2)."""
        return x[:, :, ::2, ::2]


class _ScaledLinear(nn.Linear):
    """Logits times 1/8, so that training starts from small ones."""

    def __init__(self, features: int, num_outputs: int) -> None:
        super().__init__(features, num_outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, features) -> (rows, outputs)."""
        return super().forward(x) * 0.125


def _shortcut(maps: int, wider: int, norm: str, depth: int) -> nn.Module:
    """The way around a block, which halves the image where it has more maps."""
    if maps == wider:
        return nn.Identity()
    if depth != 18:
        return _PadShortcut(wider - maps)
    projection = nn.Conv2d(maps, wider, 1, bias=norm != "batch")
    return nn.Sequential(_EverySecondPixel(), projection, *image_norm(norm, wider))


def _page(convolution: Stack, active: Callable[[], nn.Module], maps: int, width: int) -> tuple[list[nn.Module], int]:
    """The layers in front of the logits, and how many features they give."""

    def pooled(maps_in: int, maps_out: int) -> list[nn.Module]:
        return [*convolution(maps_in, maps_out), active(), nn.MaxPool2d(2)]

    def residual(count: int) -> nn.Module:
        body = nn.Sequential(*convolution(count, count), active(), *convolution(count, count), active())
        return _Residual(body, nn.Identity(), nn.Identity())

    layers = [*convolution(maps, width), active(), *pooled(width, 2 * width), residual(2 * width)]
    layers += [*pooled(2 * width, 4 * width), *pooled(4 * width, 8 * width), residual(8 * width)]
    return [*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten()], 8 * width
