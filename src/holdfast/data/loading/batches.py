"""Batches of rows, in one order, by two ways: gathered on the device, or read from the memory map by workers.

Both hand out whole batches; nothing is done row by row. The order of an epoch is a permutation drawn from (seed, epoch)
and from nothing else, so it is the same for both ways, on every device, and after a resume. Several devices share every
batch: each takes every n-th row of it, and no row is taken twice. Balanced sampling draws
the rows of an epoch, as many as there are, with replacement.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from holdfast.data.rows import Array
from holdfast.data.store.store import read_view

Batch = tuple[Tensor, Tensor]
BatchOrRows = TypeVar("BatchOrRows", Batch, Tensor)
MARK = "holdfast"


@dataclass(eq=False)
class RowOrder:
    """The rows of each batch of an epoch."""

    rows: Tensor  # (n,) indices of the rows in the store
    batch_size: int = field(kw_only=True)  # rows in a batch; a last batch of one row joins the one before
    seed: int | None = field(kw_only=True)  # fixes all permutations; None keeps the rows as they are
    rank: int = 0  # this process among those that share the rows
    num_ranks: int = 1  # how many there are; a last batch with no row for one of them joins the one before
    # (n,) the class of each of the rows, to draw every class as often; None takes each row once
    classes: Tensor | None = None
    epoch: int = 0  # set by Lightning through `set_epoch`

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation; Lightning calls it before each epoch, also after a resume."""
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(len(self.rows), self.batch_size)
        return full + (rest >= max(2, self.num_ranks) or full == 0)

    def batches(self) -> Iterator[Tensor]:
        """The indices of each batch of the present epoch, on the device of `rows`."""
        order = self.rows
        if self.seed is not None:
            state = np.random.SeedSequence([self.seed % 2**64, self.epoch]).generate_state(1, np.uint64)
            generator = torch.Generator().manual_seed(int(state[0]))
            if self.classes is None:
                places = torch.randperm(len(order), generator=generator)
            else:
                places = draw_balanced(self.classes, generator)
            order = order[places.to(order.device)]
        num_batches = len(self)
        for index in range(num_batches):
            start = index * self.batch_size
            batch = order[start : start + self.batch_size if index < num_batches - 1 else len(order)]
            yield batch[self.rank :: self.num_ranks]


def draw_balanced(classes: Tensor, generator: torch.Generator) -> Tensor:
    """Draw (n,) places with replacement: a class with rows, each as likely, then one of its rows, each as likely.

    `classes` are those of the rows, (n,).
    """
    by_class = torch.argsort(classes, stable=True)
    _, counts = torch.unique(classes, return_counts=True)
    drawn = torch.randint(len(counts), (len(classes),), generator=generator)
    share = torch.rand(len(classes), generator=generator, dtype=torch.float64)
    within = (share * counts[drawn]).long()  # a share is below 1 by more than a product with a count rounds
    return by_class[(torch.cumsum(counts, 0) - counts)[drawn] + within]


class ResidentBatches:
    """Batches as index gathers from tensors that stay on one device."""

    def __init__(self, x: Tensor, y: Tensor, order: RowOrder) -> None:
        self.x = x
        self.y = y
        self.sampler = order  # The name by which Lightning finds `set_epoch`.
        self.batch_sampler = None  # Which it looks for beside it.

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        # A generator: Lightning makes the iterator before it sets the epoch.
        for rows in self.sampler.batches():
            yield hand_over((self.x.index_select(0, rows), self.y.index_select(0, rows)))


class LoadedBatches:
    """Batches read from the memory map, by worker processes where `num_workers` > 0."""

    def __init__(self, folder: Path, order: RowOrder, *, num_workers: int, pin_memory: bool) -> None:
        self.sampler = order
        self.batch_sampler = None
        self._loader = DataLoader(
            StoredRows(folder),
            batch_size=None,
            sampler=_EpochBatches(order),
            num_workers=num_workers,
            pin_memory=pin_memory,
            # Forked anew for each epoch, which is cheap: a fork inherits the iterators of other loaders and would end
            # their workers. Where a worker starts an interpreter of its own, it is kept.
            persistent_workers=num_workers > 0 and multiprocessing.get_start_method() != "fork",
            # Of its own: the global generator is left alone, so both ways leave the same randomness to the model.
            generator=torch.Generator().manual_seed(0),
        )

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        yield from map(hand_over, self._loader)


class StoredRows(Dataset[Batch]):
    """Rows of a view in the store, whole batches at a time; each process maps the files for itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._arrays: tuple[Any, Any] | None = None

    def __getitem__(self, rows: Array) -> Batch:
        if self._arrays is None:
            prepared = read_view(self.folder)
            self._arrays = (prepared.x, prepared.y)
        x, y = (np.take(array, rows, axis=0) for array in self._arrays)
        return torch.from_numpy(x), as_target(y)


def hand_over(batch: BatchOrRows) -> BatchOrRows:
    """Mark a batch, or its rows alone, as the run's own; who writes into its rows takes the mark off."""
    x = batch if isinstance(batch, Tensor) else batch[0]
    x.__dict__[MARK] = _version(x)
    return batch


def is_handed_over(batch: Any) -> bool:
    """Tell whether a batch, or its rows alone, is one that a loader here handed out, as it was."""
    x = batch[0] if isinstance(batch, tuple | list) and batch else batch
    return isinstance(x, Tensor) and x.__dict__.get(MARK) == _version(x)


def _version(x: Tensor) -> int:
    return 0 if x.is_inference() else x._version  # torch counts writes, but for tensors of the inference mode


def as_target(y: Any) -> Tensor:
    """Targets as tensors: int64 for classes and labels, float32 for values."""
    return torch.from_numpy(np.asarray(y, np.float32 if y.dtype.kind == "f" else np.int64))


class _EpochBatches:
    def __init__(self, order: RowOrder) -> None:
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Array]:
        return (rows.numpy() for rows in self.order.batches())
