"""Small made-up data and configs from the option files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from holdfast.core.metrics import METRICS, metrics_of
from holdfast.data.loading.batches import ResidentBatches, RowOrder
from holdfast.data.statistics import TrainStatistics

CONF = Path(__file__).resolve().parents[1] / "conf"


class Data(pl.LightningDataModule):
    """`holdfast.data.loading.datamodule.DataModule` as fit reads it, over rows in memory; the last quarter is val."""

    def __init__(self, task: str, x: np.ndarray, y: np.ndarray, num_outputs: int, *, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        cut = len(x) * 3 // 4
        is_regression = task == "regression"
        self.task, self.num_outputs, self.batch_size = task, num_outputs, 16
        self.class_names = tuple(str(place) for place in range(num_outputs))
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

    def train_dataloader(self) -> ResidentBatches:
        order = RowOrder(torch.arange(len(self.train_x)), batch_size=self.batch_size, seed=self.seed)
        return ResidentBatches(self.train_x, self.train_y, order)

    def first_train_rows(self, count: int) -> torch.Tensor:
        return self.train_x[:count]

    def val_dataloader(self) -> ResidentBatches:
        order = RowOrder(torch.arange(len(self.val_x)), batch_size=self.batch_size, seed=None)
        return ResidentBatches(self.val_x, self.val_y, order)


def make_data(task: str, *, num_rows: int = 160, image: bool = False, seed: int = 0) -> Data:
    """Rows that are always the same; the seed is that of their order."""
    generator = np.random.default_rng(0)
    size = (num_rows, 8, 8, 1) if image else (num_rows, 6)
    x = generator.integers(0, 17, size, dtype=np.uint8) if image else generator.normal(size=size).astype(np.float32)
    flat = x.reshape(num_rows, -1).astype(np.float32)
    score = flat @ generator.normal(size=(flat.shape[1], 3))
    score -= score.mean(axis=0)
    if task == "multiclass":
        return Data(task, x, score.argmax(axis=1), 3, seed=seed)
    if task == "binary":
        return Data(task, x, (score[:, 0] > 0).astype(np.int64), 1, seed=seed)
    if task == "multilabel":
        return Data(task, x, (score > 0).astype(np.uint8), 3, seed=seed)
    return Data(task, x, (50 + 10 * score[:, 0]).astype(np.float32), 1, seed=seed)


def make_config(*overrides: str, **values: Any) -> DictConfig:
    groups = ("model", "loss", "optimizer", "schedule", "early_stopping", "trainer", "logger")
    chosen = {"model": "mlp", "loss": "auto", "optimizer": "adamw", "schedule": "constant", "early_stopping": "none"}
    chosen |= {"trainer": "cpu", "logger": "none"}
    picked = [f"+{group}={chosen[group]}" for group in groups if not any(o.startswith(f"{group}=") for o in overrides)]
    scalars = {"lr": 0.01, "seed": 0, "max_epochs": 2, "batch_size": 16, "monitor": "val/loss", "mode": "auto"}
    scalars |= {"deterministic": False, "compile": False, "threads": "auto"}
    roots = [f"+{key}={value}" for key, value in (scalars | values).items()]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        named = (*groups, "augment", "averaging", "mixing", "regularization", "tta")
        typed = [f"+{o}" if o.partition("=")[0] in named else o for o in overrides]
        config = compose(overrides=[*picked, *roots, *sorted(typed, key=lambda o: not o.startswith("+"))])
    OmegaConf.set_struct(config, False)
    config.resume = values.get("resume")
    config.data = {"sampling": None}  # the rows themselves are handed over
    config.transform = {"_target_": "holdfast.transforms.Standardize"}
    return config


def expected_names(task: str) -> tuple[str, ...]:
    """The metrics that every epoch of `task` has: `val/...`, then `train/...`."""
    names = metrics_of(task, asked_for=False)
    train = (name for name in names if not METRICS[name].is_for_val)
    return (*(f"val/{name}" for name in names), *(f"train/{name}" for name in train))
