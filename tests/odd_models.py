"""Models that are none of Holdfast's, as a user may write them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NUM_TOKENS, WIDTH = 6, 8


class Attention(nn.Module):
    """A transformer over the features of a row, with weights of its own beside those of its layers."""

    def __init__(self, *, input_shape: Any, num_outputs: int) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(input_shape[0], WIDTH) * 0.1)
        self.token = nn.Linear(1, WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(WIDTH, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.token(x.unsqueeze(-1)) + self.place
        mixed = self.norm(tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0])
        return self.head(self.drop(mixed).mean(dim=1))  # type: ignore[no-any-return]


class BatchScaled(nn.Module):
    """Scales by what it sees in the batch: rows of other members must not be among them."""

    def __init__(self, *, input_shape: Any, num_outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(input_shape[0], 8), nn.BatchNorm1d(8), nn.Tanh())
        self.head = nn.Linear(8, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.hidden(x)
        return self.head(x / (x.abs().mean() + 1e-3))  # type: ignore[no-any-return]


class Tied(nn.Module):
    """Two layers that share one weight."""

    def __init__(self, *, input_shape: Any, num_outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(input_shape[0], input_shape[0]), nn.Linear(input_shape[0], input_shape[0])
        self.second.weight = self.first.weight
        self.head = nn.Linear(input_shape[0], num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(torch.relu(self.first(x))))  # type: ignore[no-any-return]


class Branching(nn.Module):
    """Decides by its data."""

    def __init__(self, *, input_shape: Any, num_outputs: int) -> None:
        super().__init__()
        self.head = nn.Linear(input_shape[0], num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(2 * x if x.mean() > 0 else x)  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """Reads the features one after the other."""

    def __init__(self, *, input_shape: Any, num_outputs: int) -> None:
        super().__init__()
        self.memory = nn.GRU(1, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.memory(x.unsqueeze(-1))[0][:, -1])  # type: ignore[no-any-return]


class Noisy(nn.Module):
    """Draws by itself."""

    def __init__(self, *, input_shape: Any, num_outputs: int) -> None:
        super().__init__()
        self.head = nn.Linear(input_shape[0], num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + torch.randn_like(x))  # type: ignore[no-any-return]


class Transposed(nn.Sequential):
    """A sequence that is none: its last layer mixes the rows."""

    def __init__(self, *, input_shape: Any, num_outputs: int) -> None:
        super().__init__(nn.Linear(input_shape[0], num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x - x.mean(dim=0)
