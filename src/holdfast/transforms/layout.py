"""The way from stored rows to columns and channels.

A row of a table becomes its numbers, then a 0 or 1 for each number that was missing in some train row, then the
vocabulary index of each category (`data.tables.inputs`).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.data.statistics import TrainStatistics

Impute = Literal["mean", "median"]


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
        entries = [np.concatenate(([0], np.where(count > 0, np.cumsum(count > 0), 0))) for count in counts.values()]
        sizes = np.array([len(entry) for entry in entries], np.int64)
        for name, values in (
            ("numbers", numbers),
            ("may_miss", [] if has_missing is None else np.flatnonzero(has_missing[numbers])),
            ("codes", list(counts)),
            ("last_code", sizes - 2),
            ("first_entry", np.cumsum(sizes) - sizes + 1),
            ("vocabulary", np.concatenate(entries) if entries else []),
        ):
            self.register_buffer(name, as_buffer(np.asarray(values), "int64"), persistent=False)

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


def imputed(statistics: TrainStatistics, impute: Impute) -> NDArray[np.float64]:
    """Give the number that stands for a missing one, by column."""
    return statistics.median if impute == "median" and statistics.median is not None else statistics.mean


def joined(numbers: Tensor | None, fill: Tensor | None, others: list[Tensor]) -> Tensor:
    """Join numbers, the missing ones filled in, with the other columns."""
    if numbers is None or fill is None:
        return torch.cat(others, dim=1)
    numbers = numbers.to(torch.float32)
    filled = torch.where(numbers.isnan(), fill, numbers)
    return torch.cat([filled, *others], dim=1) if others else filled


def as_buffer(values: NDArray[Any], dtype: str = "float32") -> Tensor | None:
    """Turn values into a tensor, or into None: exporters stumble over tensors without elements."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype)) if values.size else None


def channels_first(x: Tensor) -> Tensor:
    """(n, H, W, C) -> (n, C, H, W)."""
    return x.permute(0, 3, 1, 2).contiguous()
