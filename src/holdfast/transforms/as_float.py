"""Rows as numbers, neither centred nor scaled."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from holdfast.data.statistics import TrainStatistics
from holdfast.transforms.layout import Impute, TableColumns, as_buffer, channels_first, imputed, joined


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
