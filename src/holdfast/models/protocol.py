"""The protocol of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import nn


class ModelFactory(Protocol):
    """A model option: it is handed the shapes of the data and gives a module from rows to logits."""

    def __call__(
        self, *, input_shape: Sequence[int], num_outputs: int, category_sizes: Sequence[int] = ()
    ) -> nn.Module:
        """Build the model.

        Args:
            input_shape: Shape of one transformed row: (features,) or (channels, height, width).
            num_outputs: Logits a row: classes; 1 for binary and regression; labels for multilabel.
            category_sizes: Indices of each category column of a table, the unknown one, 0, included; these columns
                are the last ones of a row.
        """
        ...
