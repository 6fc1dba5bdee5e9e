"""Transforms: from stored rows to what a model sees. Every option is called `transform(train_statistics)`.

It gives a module that holds what it needs of the statistics as buffers. The module takes (n, H, W, C) uint8 images or
(n, ...) tables and arrays, and gives float32, images as (n, C, H, W). Nothing here learns from a batch.
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

Scope = Literal["auto", "feature", "channel", "sample"]


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
    """Subtracts the mean and divides by the standard deviation, of the train rows or of the row; constants are centred.

    Args:
        train_statistics: Mean and std of every feature.
        scope: "feature": each feature by its own; "channel": each channel of an image by that of all its pixels;
            "sample": each row by its own numbers; "auto": images by channel, everything else by feature.
        impute: What a missing number of a table becomes: the "mean" or the "median" of the train rows; under "sample"
            it is the mean of its row.
    """

    mean: Tensor
    std: Tensor
    fill: Tensor | None

    def __init__(self, train_statistics: TrainStatistics, scope: Scope = "auto", impute: Impute = "mean") -> None:
        super().__init__()
        self.is_image = train_statistics.kind == "image"
        self.is_by_row = scope == "sample"
        self.table = TableColumns(train_statistics) if train_statistics.kind == "table" else None
        if scope == "channel" and not self.is_image:
            problem = f"is 'channel', but a {train_statistics.kind} has none"
            raise InputError("transform.scope", problem, "feature, sample")
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
            if self.is_by_row and numbers is not None and self.fill is not None:
                return joined(_by_row(numbers), torch.zeros_like(self.fill), others)
            return joined(None if numbers is None else numbers.sub(self.mean).div_(self.std), self.fill, others)
        if self.is_image:
            x = channels_first(x)
        if self.is_by_row:
            return _by_row(x.flatten(1)).reshape(x.shape)
        # Pixels become floats in the subtraction: one pass less over the batch.
        return x.sub(self.mean).div_(self.std).to(self.mean.dtype)


def _by_row(numbers: Tensor) -> Tensor:
    """(n, d) numbers, each row centred and scaled by its own that are not missing, as float32."""
    values = numbers.to(torch.float64 if numbers.dtype == torch.float64 else torch.float32)
    is_missing = values.isnan()
    count = (~is_missing).sum(dim=1, keepdim=True).clamp(min=1)
    centred = values - torch.where(is_missing, 0.0, values).sum(dim=1, keepdim=True) / count
    variance = torch.where(is_missing, 0.0, centred).square().sum(dim=1, keepdim=True) / count
    std = torch.where(variance > 0, variance, 1.0).sqrt()
    return (centred / std).to(torch.float32)
