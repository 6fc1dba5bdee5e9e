"""The Lightning data module: train and val batches of prepared rows. There are no test rows in it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.cores import num_cores
from holdfast.core.errors import InputError, VaultLocked
from holdfast.core.tasks import task_of
from holdfast.data.loading.batches import (
    Batch,
    LoadedBatches,
    ResidentBatches,
    RowOrder,
    as_target,
    hand_over,
    is_handed_over,
)
from holdfast.data.loading.train_val import derive
from holdfast.data.splits import Split
from holdfast.data.statistics import input_columns, input_names
from holdfast.data.store.store import Prepared, content_sha256, order_sha256, val_sha256

Resident = Literal["auto"] | bool
Sampling = Literal["balanced"] | None
RESIDENT_SHARE = 0.5
VAL_BATCH_FACTOR = 4


class DataModule(pl.LightningDataModule):
    """Batches `(x, y)`: x as stored, y int64 for classes and labels, float32 for values.

    Train rows come in an order fixed by (seed, epoch); val rows in the order of the store, in batches four times as
    large. Several devices share every batch, of train and of val rows: no row is seen twice, so that metrics are exact.

    Args:
        prepared: Development rows.
        split: Decides the val rows among them.
        batch_size: Train rows in a batch, all of them where they are fewer; "full": all of them.
        seed: Fixes the order of the train rows.
        resident: True keeps all rows on the device; False reads batches from the memory map; "auto" is True when all
            rows take at most half of the memory that is free on the device. On a CPU, resident rows are the mapped
            file itself, so they are never in memory twice.
        num_workers: Processes that read batches when the rows are not resident; at most one a core.
        subset: How many of the train rows are used: a share, or a count; None: all.
        sampling: "balanced" draws the train rows of an epoch with replacement, every class as often; None takes each
            row once.
    """

    def __init__(
        self,
        prepared: Prepared,
        split: Split,
        *,
        batch_size: int | Literal["full"],
        seed: int,
        resident: Resident = "auto",
        num_workers: int = 0,
        subset: float | int | None = None,
        sampling: Sampling = None,
    ) -> None:
        super().__init__()
        self.prepared = prepared
        self.view = prepared.view
        self.split = split
        self.seed = seed
        self.resident = resident
        self.num_workers = min(num_workers, num_cores())
        self.task = prepared.task
        self.class_names = prepared.class_names
        if sampling is not None and not task_of(prepared.task).is_classes:
            problem = f"is {sampling!r}, and a {prepared.task} task has no classes to draw by"
            raise InputError("data.sampling", problem, "null")
        self.subset, self.sampling = subset, sampling
        derived = derive(prepared, split, subset)
        self.statistics = derived.statistics
        self.train_rows: NDArray[np.int64] = derived.train
        num_train = len(self.train_rows)
        self.batch_size = num_train if batch_size == "full" else min(batch_size, num_train)
        self.val_rows: NDArray[np.int64] = derived.val
        self.val_sha256 = val_sha256(prepared, derived.val)
        self.columns = input_columns(prepared.columns, self.statistics)
        shape = prepared.x.shape[1:]
        self.input_shape: tuple[int, ...] = (shape[-1], *shape[:-1]) if prepared.kind == "image" else shape
        if self.columns:
            self.input_shape = (len(input_names(self.columns)),)
        self.num_outputs = task_of(self.task).num_outputs(len(prepared.class_names))
        self._on_device: tuple[torch.device, Tensor, Tensor] | None = None

    def describe(self) -> dict[str, Any]:
        """The field `data` of the run record."""
        prepared = self.prepared
        return {
            **{key: getattr(prepared, key) for key in ("name", "task", "kind", "vault", "view", "pixel_scale")},
            "rows": prepared.id,
            "train_rows": len(self.train_rows),
            "val_rows": len(self.val_rows),
            "val_sha256": self.val_sha256,
            "content_sha256": content_sha256(prepared, self.train_rows, self.val_rows),
            "order_sha256": order_sha256(prepared, self.train_rows, self.val_rows),
            "row_shape": list(prepared.x.shape[1:]),
            "dtype": str(prepared.x.dtype),
            "notes": list(prepared.notes),
            "input_shape": list(self.input_shape),
            "num_outputs": self.num_outputs,
            "class_names": list(prepared.class_names),
            "class_counts": list(self.statistics.class_counts or ()) if task_of(prepared.task).is_classes else None,
            "feature_names": list(prepared.feature_names),
            "columns": [column.as_dict() for column in self.columns],
            "split": self.split.test_rule(),
            "subset": self.subset,
            "sampling": self.sampling,
        }

    def train_dataloader(self) -> ResidentBatches | LoadedBatches:
        """Batches of train rows, in a new order every epoch."""
        classes = torch.from_numpy(self.prepared.y[self.train_rows]) if self.sampling == "balanced" else None
        rows = torch.from_numpy(self.train_rows)
        order = RowOrder(rows, batch_size=self.batch_size, seed=self.seed, classes=classes)
        return self._batches(order)

    def val_dataloader(self) -> ResidentBatches | LoadedBatches:
        """Batches of val rows, always in the same order."""
        batch_size = VAL_BATCH_FACTOR * self.batch_size
        return self._batches(RowOrder(torch.from_numpy(self.val_rows), batch_size=batch_size, seed=None))

    def test_dataloader(self) -> NoReturn:
        """There are no test rows here: VaultLocked is raised."""
        raise VaultLocked

    predict_dataloader = test_dataloader

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Leave resident batches alone; Lightning's own walk over the batch costs more than a small model's step."""
        x, y = batch
        if x.device == device:
            return batch
        moved = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
        return hand_over(moved) if is_handed_over(batch) else moved

    def first_train_rows(self, count: int) -> Tensor:
        """Up to `count` train rows as they are stored."""
        return hand_over(torch.from_numpy(np.array(self.prepared.x[self.train_rows[:count]])))

    def is_resident(self, device: torch.device) -> bool:
        """Tell whether the rows are kept on `device`."""
        if self.resident != "auto":
            return bool(self.resident)
        return self.prepared.x.nbytes + self.prepared.y.nbytes <= RESIDENT_SHARE * free_bytes(device)

    def _batches(self, order: RowOrder) -> ResidentBatches | LoadedBatches:
        if self.trainer is not None:
            order.rank, order.num_ranks = self.trainer.global_rank, self.trainer.world_size
        device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
        if not self.is_resident(device):
            is_cuda = device.type == "cuda"
            return LoadedBatches(self.prepared.folder, order, num_workers=self.num_workers, pin_memory=is_cuda)
        order.rows = order.rows.to(device)
        if self._on_device is None or self._on_device[0] != device:
            x, y = torch.from_numpy(self.prepared.x), as_target(self.prepared.y)
            self._on_device = (device, x.to(device), y.to(device))
        return ResidentBatches(*self._on_device[1:], order)


def free_bytes(device: torch.device) -> int:
    """Free memory of a CUDA device, or of this machine (the limit of its control group included)."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = [4 * 2**30]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = [1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])]
    with contextlib.suppress(OSError, ValueError):
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text() for name in ("max", "current"))
        free.append(int(limit) - int(used))
    return max(0, min(free))
