"""Transforms: from rows as they are stored to what a model sees, on whole batches, on the device.

Convention of the group: `transform(train_statistics)` returns a module that takes (n, H, W, C) uint8 images or (n, ...)
tables and arrays, and gives float32, images as (n, C, H, W). Nothing here learns from a batch.

A row of a table becomes its numbers, then a 0 or 1 for each number that was missing in some train row, then the
vocabulary index of each category (`data.tables.inputs`).
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.data.statistics import TrainStatistics, channel_statistics

Scope = Literal["auto", "feature", "channel"]
Impute = Literal["mean", "median"]


class Transform(Protocol):
    """What an option of the group `transform` names."""

    def __call__(self, train_statistics: TrainStatistics) -> nn.Module:
        """A module that holds what it needs of the statistics as buffers."""


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
            self.register_buffer("fill", _as_buffer(_imputed(train_statistics, impute)[self.table.places]))

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) rows as stored -> (n, ...) float32 as a model sees them."""
        if self.table is not None:
            numbers, others = self.table(x)
            return _joined(numbers, self.fill, others)
        return (_channels_first(x) if self.is_image else x).to(torch.float32)


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
            self.register_buffer("fill", _as_buffer(((_imputed(train_statistics, impute) - mean) / std)[places]))
            mean, std = mean[places], std[places]
        self.register_buffer("mean", _as_buffer(mean, dtype))
        self.register_buffer("std", _as_buffer(std, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) rows as stored -> (n, ...) float32 as a model sees them."""
        if self.table is not None:
            numbers, others = self.table(x)
            return _joined(None if numbers is None else numbers.sub(self.mean).div_(self.std), self.fill, others)
        if self.is_image:
            x = _channels_first(x)
        # Pixels become floats in the subtraction: one pass less over the batch.
        return x.sub(self.mean).div_(self.std).to(self.mean.dtype)


class TableColumns(nn.Module):
    """Takes stored rows of a table apart: numbers, where they are missing, and vocabulary indices of categories.

    Its buffers follow from the columns, which stand in a checkpoint beside the weights; so they are not saved.
    """

    numbers: Tensor | None
    may_miss: Tensor | None
    codes: Tensor | None
    last_code: Tensor
    first_entry: Tensor
    vocabulary: Tensor

    def __init__(self, train_statistics: TrainStatistics) -> None:
        super().__init__()
        counts, width = train_statistics.category_counts, len(train_statistics.mean)
        numbers = np.array([index for index in range(width) if index not in counts], np.int64)
        has_missing = train_statistics.has_missing
        self.places = numbers
        self.is_plain = len(numbers) == width
        # Of the code -1 and then of each code: the place in the vocabulary, or 0; column after column.
        entries = [np.concatenate(([0], np.where(found > 0, np.cumsum(found > 0), 0))) for found in counts.values()]
        sizes = np.array([len(entry) for entry in entries], np.int64)
        for name, values in (
            ("numbers", numbers),
            ("may_miss", [] if has_missing is None else np.flatnonzero(has_missing[numbers])),
            ("codes", list(counts)),
            ("last_code", sizes - 2),
            ("first_entry", np.cumsum(sizes) - sizes + 1),
            ("vocabulary", np.concatenate(entries) if entries else []),
        ):
            self.register_buffer(name, _as_buffer(np.asarray(values), "int64"), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """(n, d) stored rows -> (n, numbers) with NaN in the type of x, and (n, ...) float32 indicators and indices."""
        numbers, others = x if self.is_plain else None, []
        if self.numbers is not None and not self.is_plain:
            numbers = x.index_select(1, self.numbers)
        if numbers is not None and self.may_miss is not None:
            others.append(numbers.index_select(1, self.may_miss).isnan().to(torch.float32))
        if self.codes is not None:
            codes = x.index_select(1, self.codes).long()
            # A code beyond the dictionary is as unknown as -1.
            codes = torch.where(codes > self.last_code, -1, codes).clamp(min=-1)
            others.append(self.vocabulary[codes + self.first_entry].to(torch.float32))
        return numbers, others


def _imputed(statistics: TrainStatistics, impute: Impute) -> NDArray[np.float64]:
    return statistics.median if impute == "median" and statistics.median is not None else statistics.mean


def _joined(numbers: Tensor | None, fill: Tensor | None, others: list[Tensor]) -> Tensor:
    if numbers is None or fill is None:
        return torch.cat(others, dim=1)
    numbers = numbers.to(torch.float32)
    filled = torch.where(numbers.isnan(), fill, numbers)
    return torch.cat([filled, *others], dim=1) if others else filled


def _as_buffer(values: NDArray[Any], dtype: str = "float32") -> Tensor | None:
    """As a tensor; none where there are no values, since exporters stumble over tensors without elements."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype)) if values.size else None


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2).contiguous()
