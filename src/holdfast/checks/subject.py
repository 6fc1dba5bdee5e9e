"""The experiment as a check sees it: train rows, and copies of the module that a check may do with as it likes."""

from __future__ import annotations

import copy
import functools
import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from holdfast.checks.verdict import checked_sweep
from holdfast.config.resolve import build_option
from holdfast.core.seeding import seed_everything
from holdfast.core.tasks import Task, task_of
from holdfast.data.loading.batches import as_target
from holdfast.losses.build import build_loss
from holdfast.training.build import build_trainable, leave_out_dropout

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from holdfast.experiment.experiment import Experiment
    from holdfast.losses import Loss
    from holdfast.training.metrics import EpochMetrics
    from holdfast.training.module import SupervisedModule

Batch = tuple[Tensor, Tensor]
SUMS_TO_ONE = 1e-3
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


class Subject:
    """The experiment that checks look at. The module that will be trained is only ever copied."""

    def __init__(self, experiment: Experiment) -> None:
        """Build the experiment, if it is not built.

        Raises:
            InputError: Its parts do not fit.
        """
        self._built = experiment.build()
        self.config: DictConfig = experiment.config
        self.datamodule = self._built.datamodule  # its rows; checks take train rows, and val rows where they compare
        self.task: Task = task_of(self._built.module.spec.task)  # of the run; that of its data, or to give rows back
        # whether other runs, of other rates and strengths, share the verdicts, or the rate is still to be found
        self.is_rate_open = experiment.finds_lr or checked_sweep(experiment.folder) is not None
        self.num_outputs = self.datamodule.num_outputs  # outputs of the model for one row
        self.multiply_adds = self._built.module.multiply_adds  # of a forward pass of one row
        # indices of each category column, which come last in a row
        self.category_sizes = self._built.shapes.category_sizes
        self._loss_factory = build_option(self.config.loss)
        self._ends: float | None = None

    @functools.cached_property
    def _metrics(self) -> tuple[EpochMetrics, EpochMetrics]:
        """Train and val metrics of all copies: copying metrics takes longer than the rest of a small module."""
        return copy.deepcopy((self._built.module.train_metrics, self._built.module.val_metrics))

    def limit(self, seconds: float | None) -> None:
        """Have checks that consist of many leave out the rest after so many seconds from now; None: no limit."""
        self._ends = None if seconds is None else time.perf_counter() + seconds

    @property
    def has_time(self) -> bool:
        """True if the limit is not reached."""
        return self._ends is None or time.perf_counter() < self._ends

    def module(self) -> SupervisedModule:
        """A copy of the module that will be trained, in train mode on the CPU, with a loss of its own."""
        original = self._built.module
        metrics = zip((original.train_metrics, original.val_metrics), self._metrics, strict=True)
        try:
            module = copy.deepcopy(original, {id(own): shared for own, shared in metrics})
        except Exception:  # a user's own module may hold what cannot be copied
            return self.rebuilt(self.config.seed)
        module._loss = self._new_loss()
        _copy_hooks(original, module)
        return module.train()

    def start(self, num_rows: int) -> tuple[SupervisedModule, Tensor, Tensor]:
        """A copy of the module, with up to so many train rows as its network sees them and their targets."""
        module = self.module()
        x, y = self.rows(num_rows)
        return module, inputs_of(module, x), y

    def rebuilt(self, seed: int, **model: Any) -> SupervisedModule:
        """The module built anew, with the initial weights of another seed and other arguments of the model."""
        seed_everything(seed)
        config = OmegaConf.merge(self.config, {"model": model})
        return build_trainable(config, self._built.shapes, self.datamodule.statistics).train()

    def plain_module(self) -> SupervisedModule:
        """A copy without what keeps a model from fitting its rows: no dropout, regularisation or augmentation."""
        module = self.module()
        leave_out_dropout(module.model)
        module._regularization = None
        module.augmentation = None
        module._mixing = None
        return module

    def rows(self, count: int, *, start: int = 0) -> Batch:
        """Up to `count` train rows as they are stored, evenly over all, and their targets."""
        train = self.datamodule.train_rows
        places = np.linspace(0, len(train), min(count, len(train)), endpoint=False).astype(np.int64)
        rows = train[(places + start) % len(train)]
        prepared = self.datamodule.prepared
        return torch.from_numpy(np.array(prepared.x[rows])), as_target(prepared.y[rows])

    def batches(self) -> Iterator[Batch]:
        """Train batches for ever, epoch after epoch."""
        loader = self.datamodule.train_dataloader()
        for epoch in itertools.count():
            loader.sampler.set_epoch(epoch)
            yield from loader

    def _new_loss(self) -> Loss:
        if self.task.is_rows:
            loss: Loss = self._loss_factory()
            return loss
        return build_loss(self._loss_factory, self.task.name, self.num_outputs, self.datamodule.statistics.class_counts)


def _copy_hooks(original: nn.Module, copied: nn.Module) -> None:
    """Give a copy the hooks that change gradients of parameters, which copying leaves out."""
    for own, parameter in zip(original.parameters(), copied.parameters(), strict=True):
        for hook in (own._backward_hooks or {}).values():
            parameter.register_hook(hook)  # type: ignore[no-untyped-call]


def inputs_of(module: SupervisedModule, x: Tensor) -> Tensor:
    """Rows as the network sees them."""
    return module._as_input(x)


def outputs_of(module: SupervisedModule, inputs: Tensor) -> Tensor:
    """Raw outputs of transformed rows: reconstructions, where the task is to give rows back."""
    if is_rows(module):
        rows: Tensor = module.model.reconstruct(inputs)  # type: ignore[operator]
        return rows
    return module._outputs(inputs)


def seeded_outputs(module: SupervisedModule, inputs: Tensor, seed: int = 0) -> Tensor:
    """Raw outputs (rows, numbers); whatever is drawn on the way is drawn from the seed."""
    torch.manual_seed(seed)
    return outputs_of(module, inputs).reshape(len(inputs), -1)


def has_categories(subject: Subject) -> bool:
    """Tell whether inputs are in part indices of categories, which may not take any value."""
    return bool(subject.category_sizes)


def let_padding_learn(module: nn.Module) -> None:
    """Give the rows of embeddings the gradient of the loss: that of padding has none by design, others a share."""
    for part in module.modules():
        if isinstance(part, EMBEDDINGS):
            part.padding_idx, part.scale_grad_by_freq = None, False


def multiplies(part: nn.Module) -> bool:
    """Tell whether a layer has a matrix of weights."""
    weight = getattr(part, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim >= 2


def is_rows(module: SupervisedModule) -> bool:
    """Tell whether the rows themselves are the targets."""
    return task_of(module.spec.task).is_rows


def data_loss(module: SupervisedModule, inputs: Tensor, y: Tensor) -> Tensor:
    """The loss of transformed rows, without regularisation."""
    outputs = outputs_of(module, inputs)
    return loss_of(module, outputs, inputs if is_rows(module) else y)


def loss_of(module: SupervisedModule, outputs: Tensor, y: Tensor) -> Tensor:
    """The loss of outputs; `y` are targets as stored, or the rows to be given back."""
    return module._loss(outputs, y) if is_rows(module) else module._loss_of(outputs, y)


def in_form_of(outputs: Tensor, free: Tensor) -> Tensor:
    """Free outputs in the form that those of a model have: as they are, probabilities, or the logarithms of such."""
    if outputs.ndim != 2 or outputs.shape[1] < 2 or not outputs.is_floating_point():
        return free
    if float(outputs.logsumexp(dim=1).abs().max()) < SUMS_TO_ONE:
        return free.log_softmax(dim=1)
    is_share = float((outputs.sum(dim=1) - 1.0).abs().max()) < SUMS_TO_ONE and bool((outputs >= 0).all())
    return free.softmax(dim=1) if is_share else free


def regularization_of(module: SupervisedModule) -> Tensor | None:
    """The term that is added to the loss of the data."""
    return None if module._regularization is None else module._regularization(module.model)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name; tied ones once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def plain_number(value: Any) -> float:
    """A tensor of one number as a float with the digits that count."""
    return float(f"{float(value):.6g}")
