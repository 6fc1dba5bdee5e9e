"""Multilayer perceptron over numbers and entity embeddings of categories (Guo and Berkhahn 2016, arXiv 1604.06737)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from holdfast.core.errors import require
from holdfast.models.layers import check_sizes, dropout_of
from holdfast.models.mlp import hidden_layers

LARGEST_EMBEDDING = 600


def tabular_mlp(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    category_sizes: Sequence[int] = (),
    hidden: Sequence[int] = (128, 64),
    embedding_size: int | None = None,
    embedding_dropout: float = 0.0,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
) -> nn.Module:
    """Embeds each category, joins that with the numbers, then hidden layers as in `mlp` and a linear map to the logits.

    Args:
        input_shape: (numbers and category indices,): the indices are the last `len(category_sizes)`.
        category_sizes: Indices of each category column; 0 is the unknown one.
        hidden: Units of each hidden layer.
        embedding_size: Numbers that a category becomes; None: by `rule_of_thumb`.
        embedding_dropout: Share of these numbers set to zero in training.
        activation, norm: As of `mlp`.
        dropout: Share of hidden units set to zero in training.
    """
    check_sizes("model.hidden", hidden)
    is_size = embedding_size is None or embedding_size >= 1
    require(is_size, "model.embedding_size", embedding_size, "null, or a whole number from 1")
    is_share = 0.0 <= embedding_dropout < 1.0
    require(is_share, "model.embedding_dropout", embedding_dropout, "0 <= embedding_dropout < 1")
    sizes = [embedding_size or rule_of_thumb(size) for size in category_sizes]
    layers: list[nn.Module] = [nn.Flatten()]
    if category_sizes:
        layers += [EntityEmbeddings(category_sizes, sizes, embedding_dropout)]
    width = math.prod(input_shape) - len(category_sizes) + sum(sizes)
    hiddens, width = hidden_layers(width, hidden, activation=activation, norm=norm, dropout=dropout)
    return nn.Sequential(*layers, *hiddens, nn.Linear(width, num_outputs))


def rule_of_thumb(num_categories: int) -> int:
    """min(600, round(1.6 n^0.56)) numbers for n categories: `emb_sz_rule` of fastai (Howard and Gugger 2020).

    Guo and Berkhahn chose sizes between 1 and n - 1 by hand.
    """
    return min(LARGEST_EMBEDDING, round(1.6 * math.pow(num_categories, 0.56)))


class EntityEmbeddings(nn.Module):
    """(rows, numbers + columns) -> (rows, numbers + all embeddings); the unknown category 0 becomes zeros.

    Each column has a number of indices, and a number of numbers that an index becomes.
    """

    def __init__(self, category_sizes: Sequence[int], embedding_sizes: Sequence[int], dropout: float) -> None:
        super().__init__()
        pairs = zip(category_sizes, embedding_sizes, strict=True)
        self.tables = nn.ModuleList(nn.Embedding(size, width, padding_idx=0) for size, width in pairs)
        self.dropout = nn.Sequential(*dropout_of(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Numbers as they are, then the embeddings in the order of the columns."""
        numbers, indices = x[:, : -len(self.tables)], x[:, -len(self.tables) :].long()
        embedded = [table(indices[:, column]) for column, table in enumerate(self.tables)]
        return torch.cat([numbers, self.dropout(torch.cat(embedded, dim=1))], dim=1)
