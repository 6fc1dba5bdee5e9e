"""The one LightningModule: it is handed a model, a loss, a transform and how to optimise; it imports none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from holdfast.training.metrics import EpochMetrics, as_predictions
from holdfast.training.row_guard import guards_rows, watch


@dataclass(frozen=True)
class TaskSpec:
    """What the outputs mean.

    Attributes:
        task: "multiclass", "binary", "multilabel" or "regression".
        num_outputs: Outputs of the model for one row.
        target_mean: Mean of the train targets, in original units; 0 where targets are classes.
        target_std: Their standard deviation; 1 where targets are classes.
    """

    task: str
    num_outputs: int
    target_mean: float = 0.0
    target_std: float = 1.0


class SupervisedModule(pl.LightningModule):
    """Training, validation and prediction of one model on rows (x, y) as the data module gives them.

    Nothing is logged or read from the device per step: `train_metrics` and `val_metrics` hold what an epoch's end
    reads. The loss of a regression is that of the standardised target; its metrics and predictions have the original
    units.
    """

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, model: nn.Module, transform: nn.Module, spec: TaskSpec) -> None:
        super().__init__()
        self.model = model
        self.transform = transform
        self.spec = spec
        self._is_regression = spec.task == "regression"
        self._has_classes = spec.task == "multiclass"
        self._is_flat = spec.task in ("binary", "regression")
        self.register_buffer("target_mean", torch.tensor(spec.target_mean, dtype=torch.float32))
        self.register_buffer("target_std", torch.tensor(spec.target_std, dtype=torch.float32))
        watch(model, transform)
        self.train_metrics = EpochMetrics(spec.task, spec.num_outputs, use_auroc=False)
        self.val_metrics = EpochMetrics(spec.task, spec.num_outputs, use_auroc=True)

    def set_training(
        self,
        *,
        loss: Callable[[Tensor, Tensor], Tensor],
        make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        make_schedule: Callable[..., dict[str, Any]],
        regularization: Callable[[nn.Module], Tensor] | None = None,
    ) -> None:
        """What training needs beside the network; predicting does without."""
        self._regularization = regularization
        self._loss = loss
        self.make_optimizer = make_optimizer
        self.make_schedule = make_schedule

    @guards_rows
    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs (rows, outputs), or (rows,) for binary and regression, of rows as they are stored."""
        x = self.transform(x)
        if x.dtype is not self.dtype and x.is_floating_point():
            x = x.to(self.dtype)
        outputs: Tensor = self.model(x)
        return outputs.reshape(-1) if self._is_flat else outputs

    def predict(self, x: Tensor) -> Tensor:
        """Class probabilities (rows, classes), P(1) (rows,), label probabilities (rows, labels) or values (rows,)."""
        outputs = self(x)
        if self._is_regression:
            outputs = self._original_units(outputs)
        return as_predictions(outputs, self.spec.task)

    @guards_rows
    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """One step; the loss is a mean over rows, and the metrics hold it without the regularisation."""
        loss = self._step(batch, self.train_metrics)
        return loss if self._regularization is None else loss + self._regularization(self.model)

    @guards_rows
    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Losses and outputs of one batch of val rows."""
        self._step(batch, self.val_metrics)

    def configure_optimizers(self) -> Any:
        """The optimizer, and the schedule in Lightning's form."""
        optimizer = self.make_optimizer(self.model)
        total_steps = int(self.trainer.estimated_stepping_batches)
        steps_per_epoch = -(-int(self.trainer.num_training_batches) // self.trainer.accumulate_grad_batches)
        schedule = self.make_schedule(optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _step(self, batch: tuple[Tensor, Tensor], metrics: EpochMetrics) -> Tensor:
        x, y = batch
        outputs = self(x)
        if self._has_classes:
            loss = self._loss(outputs, y)
        elif self._is_regression:
            loss = self._loss(outputs, ((y - self.target_mean) / self.target_std).to(outputs.dtype))
            outputs = self._original_units(outputs.detach())
        else:
            loss = self._loss(outputs, y.to(outputs.dtype))
        metrics.add(loss, outputs, y)
        return loss

    def _original_units(self, outputs: Tensor) -> Tensor:
        return outputs * self.target_std + self.target_mean
