"""Transforms: from stored rows to what a model sees. Every option is called `transform(train_statistics)`.

It gives a module over batches; `holdfast.transforms.layout` says more.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.data.statistics import TrainStatistics, channel_statistics
from holdfast.transforms.layout import Impute, TableColumns, as_buffer, channels_first, imputed, joined

__all__ = ["AsFloat", "Standardize"]

Scope = Literal["auto", "feature", "channel"]


class AsFloat(nn.Module):
    """Changes type and layout: pixels stay 0..255; a table's missing numbers are filled in, its categories numbered.

    Args:
        train_statistics: Of the train rows.
        impute: What a missing number of a table becomes: the "mean" or the "median" of the train rows.
    """

    fill: Tensor | None

    def __init__(self, train_statistics: TrainStatistics, impute: Impute = "mean") -> None:
        super().__init__()
        self.is_image = train_statistics.kind == "image"
        self.table = TableColumns(train_statistics) if train_statistics.kind == "table" else None
        if self.table is not None:
            self.register_buffer("fill", as_buffer(imputed(train_statistics, impute)[self.table.places]))

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) rows as stored -> (n, ...) float32 as a model sees them."""
        if self.table is not None:
            numbers, others = self.table(x)
            return joined(numbers, self.fill, others)
        return (channels_first(x) if self.is_image else x).to(torch.float32)


class Standardize(nn.Module):
    """Subtracts the mean of the train rows and divides by their standard deviation; constants are only centred.

    Args:
        train_statistics: Mean and std of every feature.
        scope: "feature": each feature by its own; "channel": each channel of an image by that of all its pixels;
            "auto": images by channel, everything else by feature.
        impute: What a missing number of a table becomes: the "mean" or the "median" of the train rows.
    """

    mean: Tensor
    std: Tensor
    fill: Tensor | None

    def __init__(self, train_statistics: TrainStatistics, scope: Scope = "auto", impute: Impute = "mean") -> None:
        super().__init__()
        self.is_image = train_statistics.kind == "image"
        self.table = TableColumns(train_statistics) if train_statistics.kind == "table" else None
        if scope == "channel" and not self.is_image:
            raise InputError(
                "transform.scope", f"is 'channel', but a {train_statistics.kind} has none", allowed="feature"
            )
        mean, std, dtype = train_statistics.mean, train_statistics.std, "float32"
        if self.is_image and scope != "feature":
            mean, std = (value[:, None, None] for value in channel_statistics(train_statistics))
        elif self.is_image:
            mean, std = (np.moveaxis(value, -1, 0) for value in (mean, std))
        std = np.where(std > 0, std, 1.0)
        if self.table is not None:
            places, dtype = self.table.places, train_statistics.dtype
            self.register_buffer("fill", as_buffer(((imputed(train_statistics, impute) - mean) / std)[places]))
            mean, std = mean[places], std[places]
        self.register_buffer("mean", as_buffer(mean, dtype))
        self.register_buffer("std", as_buffer(std, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) rows as stored -> (n, ...) float32 as a model sees them."""
        if self.table is not None:
            numbers, others = self.table(x)
            return joined(None if numbers is None else numbers.sub(self.mean).div_(self.std), self.fill, others)
        if self.is_image:
            x = channels_first(x)
        # Pixels become floats in the subtraction: one pass less over the batch.
        return x.sub(self.mean).div_(self.std).to(self.mean.dtype)
