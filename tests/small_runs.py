"""Small made-up data and configs from the option files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from holdfast.data.statistics import TrainStatistics

CONF = Path(__file__).resolve().parents[1] / "conf"


class Batches:
    """Shuffled by (seed, epoch), as the data module's."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, batch_size: int, *, shuffle: bool) -> None:
        self.x, self.y, self.batch_size, self.shuffle, self.epoch = x, y, batch_size, shuffle, 0
        self.sampler, self.batch_sampler = self, None

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            order = torch.arange(len(self.x))
            if self.shuffle:
                order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(self.epoch))
            for part in order.split(self.batch_size):
                yield self.x[part], self.y[part]

        return batches()


class Data(pl.LightningDataModule):
    """`holdfast.data.loading.datamodule.DataModule` as fit reads it, over rows in memory; the last quarter is val."""

    def __init__(self, task: str, x: np.ndarray, y: np.ndarray, num_outputs: int, batch_size: int = 16) -> None:
        super().__init__()
        cut = len(x) * 3 // 4
        is_regression = task == "regression"
        self.task, self.num_outputs, self.batch_size = task, num_outputs, batch_size
        self.columns, self.view = (), dict[str, Any]()
        self.kind = "image" if x.ndim == 4 else "table"
        self.input_shape = (x.shape[3], *x.shape[1:3]) if x.ndim == 4 else x.shape[1:]
        self.train_x, self.val_x = torch.from_numpy(x[:cut]), torch.from_numpy(x[cut:])
        self.train_y, self.val_y = torch.from_numpy(y[:cut]), torch.from_numpy(y[cut:])
        self.statistics = TrainStatistics(
            self.kind,
            cut,
            x[:cut].mean(axis=0),
            x[:cut].std(axis=0),
            float(y[:cut].mean()) if is_regression else None,
            float(y[:cut].std()) if is_regression else None,
            None if is_regression else (1,) * max(2, num_outputs),
        )

    def train_dataloader(self) -> Batches:
        return Batches(self.train_x, self.train_y, self.batch_size, shuffle=True)

    def first_train_rows(self, count: int) -> torch.Tensor:
        return self.train_x[:count]

    def val_dataloader(self) -> Batches:
        return Batches(self.val_x, self.val_y, self.batch_size, shuffle=False)


def make_data(task: str, *, num_rows: int = 160, image: bool = False) -> Data:
    generator = np.random.default_rng(0)
    size = (num_rows, 8, 8, 1) if image else (num_rows, 6)
    x = generator.integers(0, 17, size, dtype=np.uint8) if image else generator.normal(size=size).astype(np.float32)
    flat = x.reshape(num_rows, -1).astype(np.float32)
    score = flat @ generator.normal(size=(flat.shape[1], 3))
    score -= score.mean(axis=0)
    if task == "multiclass":
        return Data(task, x, score.argmax(axis=1), 3)
    if task == "binary":
        return Data(task, x, (score[:, 0] > 0).astype(np.int64), 1)
    if task == "multilabel":
        return Data(task, x, (score > 0).astype(np.uint8), 3)
    return Data(task, x, (50 + 10 * score[:, 0]).astype(np.float32), 1)


def make_config(*overrides: str, **values: Any) -> DictConfig:
    groups = ("model", "loss", "optimizer", "schedule", "early_stopping", "trainer", "logger")
    chosen = {"model": "mlp", "loss": "auto", "optimizer": "adamw", "schedule": "constant", "early_stopping": "none"}
    chosen |= {"trainer": "cpu", "logger": "none"}
    picked = [f"+{group}={chosen[group]}" for group in groups if not any(o.startswith(f"{group}=") for o in overrides)]
    scalars = {"lr": 0.01, "seed": 0, "max_epochs": 2, "batch_size": 16, "monitor": "val/loss", "mode": "auto"}
    scalars |= {"deterministic": False, "compile": False, "threads": "auto"}
    roots = [f"+{key}={value}" for key, value in (scalars | values).items()]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        named = (*groups, "augment", "averaging", "mixing", "tta")
        typed = [f"+{o}" if o.partition("=")[0] in named else o for o in overrides]
        config = compose(overrides=[*picked, *roots, *sorted(typed, key=lambda o: not o.startswith("+"))])
    OmegaConf.set_struct(config, False)
    config.resume = values.get("resume")
    config.data = {"sampling": None}  # the rows themselves are handed over
    config.transform = {"_target_": "holdfast.transforms.Standardize", "_partial_": True}
    return config
