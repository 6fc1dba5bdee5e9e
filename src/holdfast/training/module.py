"""The one LightningModule: it is handed a model, a loss, a transform and how to optimise; it imports none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from holdfast.core.metrics import METRICS, metrics_of
from holdfast.core.tasks import PerTarget, task_of
from holdfast.mixing import Mixing
from holdfast.training.devices import HALF
from holdfast.training.metrics import EpochMetrics, as_predictions, weight_of_share
from holdfast.training.row_guard import apart
from holdfast.tta import Views


@dataclass(frozen=True)
class TaskSpec:
    """The meaning of the outputs."""

    task: str  # of `core.tasks`
    num_outputs: int  # outputs of the model for one row
    target_mean: PerTarget = 0.0  # mean of the train targets, in original units; 0 where they are no values
    target_std: PerTarget = 1.0  # their standard deviation; 1 where they are no values


class SupervisedModule(pl.LightningModule):
    """Training, validation and prediction of one model on rows (x, y) as the data module gives them.

    Nothing is logged or read from the device per step: `train_metrics` and `val_metrics` hold what an epoch's end
    reads. The loss of a regression is that of the standardised target; its metrics and predictions have the original
    units.
    """

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, model: nn.Module, transform: nn.Module, spec: TaskSpec, views: Views | None = None) -> None:
        super().__init__()
        self.model = model
        self.transform = transform
        self.spec = spec
        self._views = views
        task = task_of(spec.task)
        self._reconstructs = task.is_rows
        self._is_regression = task.is_values
        self._is_flat = task.is_flat
        self._is_softmax = task.is_softmax
        shape = task.row_shape(spec.num_outputs) if task.is_values else ()
        for name, value in (("target_mean", spec.target_mean), ("target_std", spec.target_std)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32).expand(shape).clone())
        self.pretrained: list[dict[str, Any]] = []  # where the weights come from, for the record
        self.multiply_adds = 0.0  # of a forward pass of one row
        self._place: tuple[int, int] | None = None
        names = metrics_of(task, asked_for=False)
        in_training = [name for name in names if not METRICS[name].is_for_val]
        self.train_metrics = EpochMetrics(spec.task, spec.num_outputs, in_training)
        self.val_metrics = EpochMetrics(spec.task, spec.num_outputs, names)

    def set_training(
        self,
        *,
        loss: Callable[[Tensor, Tensor], Tensor],
        make_optimizer: Callable[..., torch.optim.Optimizer],
        make_schedule: Callable[..., dict[str, Any]],
        regularization: Callable[[nn.Module], Tensor] | None = None,
        augmentation: Callable[[Tensor], Tensor] | None = None,
        mixing: Mixing | None = None,
        more_metrics: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Take what training needs beside the network; predicting does without.

        Raises:
            InputError: A metric of `more_metrics` (`metric_names.asked_for`), of the val rows, does not fit the task.
        """
        if more_metrics:
            names = {*metrics_of(self.spec.task, asked_for=False), *more_metrics}
            self.val_metrics = EpochMetrics(self.spec.task, self.spec.num_outputs, [*names], more_metrics)
        self.augmentation = augmentation
        self._mixing = mixing
        self._regularization = None if regularization is None else apart(regularization)
        self._loss = loss
        self.make_optimizer = make_optimizer
        self.make_schedule = make_schedule

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs (rows, outputs), or (rows,) for binary and regression, of rows as they are stored.

        Outside of training they are means over the views of `tta`, where there are any.
        """
        x = self._as_input(x)
        if self.training or self._views is None:
            return self._outputs(x)
        return torch.stack([self._outputs(view) for view in self._views(x)]).mean(dim=0)

    def outputs_in_units(self, x: Tensor) -> Tensor:
        """Logits as of `forward`, or values (rows,) or (rows, targets) in original units."""
        outputs: Tensor = self(x)
        return self._original_units(outputs) if self._is_regression else outputs

    def predict(self, x: Tensor) -> Tensor:
        """Class probabilities (rows, classes), P(1) (rows,), label probabilities (rows, labels) or values.

        Values are (rows,), or (rows, targets).
        """
        return as_predictions(self.outputs_in_units(x), self.spec.task)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the one that Lightning sets forty times a step without asking whether it is a weight."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """One step; the loss is a mean over rows, and the metrics hold it without the regularisation.

        Train metrics are those of the rows as they are trained on: augmented, and mixed ones compared with the target
        that has the larger share.
        """
        x, y = batch
        if self.augmentation is not None:
            x = self.augmentation(x)
        x = self._as_input(x)
        if self._reconstructs:
            return self._with_terms(self._reconstruction_loss(x, self.train_metrics), x)
        mixed = None if self._mixing is None else self._mixing(x)
        if mixed is None:
            outputs = self._outputs(x)
            loss = self._loss_of(outputs, y)
        else:
            outputs = self._outputs(mixed.x)
            others = self._loss_of(outputs, y[mixed.partner])
            loss = mixed.share * self._loss_of(outputs, y) + (1.0 - mixed.share) * others
            y = mixed.main_targets(y)
        place = (self.current_epoch, batch_idx)
        if place != self._place:  # L-BFGS asks for the loss of a batch several times: the first answer counts
            self._keep(self.train_metrics, loss, outputs, y)
            self._place = place
        return self._with_terms(loss, x)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Losses and outputs of one batch of val rows."""
        x, y = batch
        if self._reconstructs:
            self._reconstruction_loss(self._as_input(x), self.val_metrics)
            return
        outputs = self(x)
        self._keep(self.val_metrics, self._loss_of(outputs, y), outputs, y)

    def configure_optimizers(self) -> Any:
        """The optimizer, and the schedule in Lightning's form."""
        optimizer = self.make_optimizer(self.model)
        total_steps = int(self.trainer.estimated_stepping_batches)
        steps_per_epoch = -(-int(self.trainer.num_training_batches) // self.trainer.accumulate_grad_batches)
        schedule = self.make_schedule(optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _as_input(self, x: Tensor) -> Tensor:
        """Rows as the network sees them."""
        x = self.transform(x)
        return x.to(self.dtype) if x.dtype is not self.dtype and x.is_floating_point() else x

    def _outputs(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.model(x)
        return outputs.reshape(-1) if self._is_flat else outputs

    def _loss_of(self, outputs: Tensor, y: Tensor) -> Tensor:
        outputs = _full(outputs)
        if self._is_softmax:
            return self._loss(outputs, y)
        if self._is_regression:
            y = (y - self.target_mean) / self.target_std
        return self._loss(outputs, y.to(outputs.dtype))

    def _reconstruction_loss(self, x: Tensor, metrics: EpochMetrics) -> Tensor:
        loss: Tensor = self._loss(self.model.reconstruct(x), x)  # type: ignore[operator]
        metrics.add(loss, x[:, :0], x[:, :0])
        return loss

    def _with_terms(self, loss: Tensor, x: Tensor) -> Tensor:
        """The loss of these rows as it is trained on: by their share of the batch, with the regularisation."""
        if (weight := weight_of_share(len(x), x.device)) is not None:
            loss = loss * weight.to(loss.dtype)
        return loss if self._regularization is None else loss + self._regularization(self.model)

    def _keep(self, metrics: EpochMetrics, loss: Tensor, outputs: Tensor, y: Tensor) -> None:
        outputs = outputs.detach()
        metrics.add(loss, self._original_units(outputs) if self._is_regression else outputs, y)

    def _original_units(self, outputs: Tensor) -> Tensor:
        return _full(outputs) * self.target_std + self.target_mean


def _full(outputs: Tensor) -> Tensor:
    """Outputs in single precision at least: a mean over rows in half precision has three digits."""
    return outputs.float() if outputs.dtype in HALF else outputs
