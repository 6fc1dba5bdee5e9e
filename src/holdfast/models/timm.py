"""Models of the library timm, which is an extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from holdfast.core.errors import InputError, did_you_mean
from holdfast.models.layers import check_image


def timm(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    name: str,
    dropout: float = 0.0,
    download_weights: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> nn.Module:
    """`timm.create_model(name)` for images of this shape and this many outputs.

    Args:
        name: As timm calls it, such as resnet18 or vit_tiny_patch16_224.
        dropout: timm's `drop_rate`.
        download_weights: Start from the weights that timm downloads; where they were pretrained is not recorded.
        arguments: More keyword arguments of the model, such as img_size for a vision transformer.

    Raises:
        InputError: timm is not installed, does not know the name, or refuses an argument.
    """
    check_image("model=timm", input_shape)
    try:
        from timm import create_model, is_model, list_models
    except (ImportError, RuntimeError) as error:  # the latter from a torchvision that was built for another torch
        problem = f"needs the package timm ({error})"
        raise InputError("model=timm", problem, next="pip install 'holdfast[timm]', or model=resnet") from None
    if not is_model(name):
        raise InputError("model.name", f"timm has no '{name}'", next=did_you_mean(name, list_models()))
    given = {"drop_rate": dropout, **(arguments or {})}
    try:
        network: nn.Module = create_model(
            name, pretrained=download_weights, num_classes=num_outputs, in_chans=input_shape[0], **given
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError("model=timm", f"{name} cannot be built ({str(error).splitlines()[0]})") from None
    return network
