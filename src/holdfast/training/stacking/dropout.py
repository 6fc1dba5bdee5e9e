"""Dropout of all members at once, with the masks of single runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.training.stacking.layout import Layout, NotStackable


class Dropout(nn.Module):
    """Dropout whose masks are drawn from each member's own generator: those that the member draws alone on a CPU."""

    def __init__(
        self, layout: Layout, generators: Sequence[torch.Generator], shares: list[float], *, is_mapped: bool
    ) -> None:
        super().__init__()
        self.layout, self.generators = layout, generators
        self.shares, self.is_mapped = shares, is_mapped

    def keep(self, members: Sequence[int]) -> None:
        """Leave out the shares of all other members."""
        self.shares = [self.shares[member] for member in members]

    def forward(self, x: Tensor) -> Tensor:
        """(K x rows, ...) -> the same shape; under a map (rows, ...) of each member."""
        if not self.training or not any(self.shares):
            return x
        if self.is_mapped:
            return _Masked.apply(x, self)  # type: ignore[no-any-return,no-untyped-call]
        return x * self.layout.join(self.masks(self.layout.split(x)))

    def masks(self, x: Tensor) -> Tensor:
        """Factors of x, (K, rows, ...)."""
        masks = torch.ones(x.shape, dtype=x.dtype, device=x.device)
        for mask, share, generator in zip(masks, self.shares, self.generators, strict=True):
            if share == 1.0:
                mask.zero_()
            elif share > 0.0:
                mask.bernoulli_(1.0 - share, generator=generator)
        kept = torch.tensor([1.0 - share if share < 1.0 else 1.0 for share in self.shares], dtype=x.dtype)
        return masks.div_(kept.view(-1, *(1,) * (x.ndim - 1)))


class _Masked(torch.autograd.Function):
    """A dropout inside of a mapped module: the map hands over the rows of all members."""

    @staticmethod
    def forward(x: Tensor, layer: Dropout) -> Tensor:
        raise NotStackable("a dropout was called outside of the map over members")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, layer: Dropout) -> tuple[Tensor, int]:
        x = x.movedim(in_dims[0], 0)
        return x * layer.masks(x), 0
