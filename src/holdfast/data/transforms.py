"""Transforms: from rows as they are stored to what a model sees, on whole batches, on the device.

Convention of the group: `transform(train_statistics)` returns a module that takes (n, H, W, C) uint8 images or (n, ...)
tables and arrays, and gives float32, images as (n, C, H, W). Nothing here learns from a batch.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.data.statistics import TrainStatistics, channel_statistics

Scope = Literal["auto", "feature", "channel"]
SCOPES = ("auto", "feature", "channel")


class Transform(Protocol):
    """What an option of the group `transform` names."""

    def __call__(self, train_statistics: TrainStatistics) -> nn.Module:
        """A module that holds what it needs of the statistics as buffers."""


class AsFloat(nn.Module):
    """Changes type and layout, nothing else: pixels stay 0..255."""

    def __init__(self, train_statistics: TrainStatistics) -> None:
        super().__init__()
        self.is_image = train_statistics.kind == "image"

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) rows as stored -> (n, ...) float32 as a model sees them."""
        return (_channels_first(x) if self.is_image else x).to(torch.float32)


class Standardize(nn.Module):
    """Subtracts the mean of the train rows and divides by their standard deviation; constants are only centred.

    Args:
        train_statistics: Mean and std of every feature.
        scope: "feature": each feature by its own; "channel": each channel of an image by that of all its pixels;
            "auto": images by channel, everything else by feature.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, train_statistics: TrainStatistics, scope: Scope = "auto") -> None:
        super().__init__()
        if scope not in SCOPES:
            raise InputError("transform.scope", f"is {scope!r}", allowed=", ".join(SCOPES))
        self.is_image = train_statistics.kind == "image"
        if scope == "channel" and not self.is_image:
            raise InputError(
                "transform.scope", f"is 'channel', but a {train_statistics.kind} has none", allowed="feature"
            )
        mean, std = train_statistics.mean, train_statistics.std
        if self.is_image and scope != "feature":
            mean, std = (value[:, None, None] for value in channel_statistics(train_statistics))
        elif self.is_image:
            mean, std = (np.moveaxis(value, -1, 0) for value in (mean, std))
        std = np.where(std > 0, std, 1.0)
        self.register_buffer("mean", torch.from_numpy(np.ascontiguousarray(mean, np.float32)))
        self.register_buffer("std", torch.from_numpy(np.ascontiguousarray(std, np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) rows as stored -> (n, ...) float32 as a model sees them."""
        if self.is_image:
            x = _channels_first(x)
        # Pixels become floats in the subtraction: one pass less over the batch.
        return x.sub(self.mean).div_(self.std).to(self.mean.dtype)


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2).contiguous()
