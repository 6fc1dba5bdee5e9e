"""The objects that are trained, from the nodes of the config."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.flop_counter import FlopCounterMode

from holdfast.config.resolve import build_option, named
from holdfast.core.errors import InputError, blamed, require
from holdfast.core.tasks import task_of
from holdfast.data.columns import Column, column_from_dict
from holdfast.data.first_look import Header
from holdfast.data.statistics import TrainStatistics, category_sizes, neutral_statistics
from holdfast.losses.build import build_loss
from holdfast.mixing import build_mixing
from holdfast.models.autoencoder import Autoencoder
from holdfast.optimizers.param_groups import param_groups
from holdfast.rates import Rates
from holdfast.training.augment import build_augmentation, check_images_only
from holdfast.training.metric_names import asked_for, mode_of
from holdfast.training.module import SupervisedModule, TaskSpec
from holdfast.training.pretrained import load_pretrained
from holdfast.tta import build_views

NUM_TRIED = 2


@dataclass(frozen=True)
class Shapes:
    """Facts about the data that a network needs to be built again; they stand in every checkpoint as plain values."""

    task: str  # "multiclass", "binary", "multilabel" or "regression"
    kind: str  # "image", "table" or "array": how stored rows are laid out
    input_shape: tuple[int, ...]  # one row as the model sees it: (features,) or (channels, height, width)
    num_outputs: int  # outputs of the model for one row
    columns: tuple[Column, ...] = ()  # of a table, with the vocabularies of the train rows
    dtype: str = "float32"  # type of the rows as stored
    view: dict[str, Any] = field(default_factory=dict)  # what made the stored rows of raw ones, as `data.views` has it

    @property
    def category_sizes(self) -> tuple[int, ...]:
        """The number of indices of each category column of the input; these columns come last."""
        return category_sizes(self.columns)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        columns = [column.as_dict() for column in self.columns]
        return {**vars(self), "input_shape": list(self.input_shape), "columns": columns}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Shapes:
        """The inverse of `as_dict`."""
        columns = tuple(column_from_dict(column) for column in values.get("columns", ()))
        return cls(**{**values, "input_shape": tuple(values["input_shape"]), "columns": columns})


def build_untrained(config: Any, shapes: Shapes, statistics: TrainStatistics | None = None) -> SupervisedModule:
    """The module for predicting: network and transform, without loss and optimizer.

    Without `statistics` of the train rows, they are loaded afterwards with the weights.
    """
    if statistics is None:
        statistics = neutral_statistics(shapes.kind, shapes.input_shape, shapes.columns, shapes.dtype)
    with blamed("model", "cannot be built"):
        model = _build_model(config["model"], shapes)
    spec = TaskSpec(goal_of(config, shapes.task), shapes.num_outputs)
    if task_of(spec.task).is_values and statistics.target_mean is not None and statistics.target_std is not None:
        spec = replace(spec, target_mean=statistics.target_mean, target_std=statistics.target_std)
    views = build_views(config.get("tta"), shapes.input_shape)
    return SupervisedModule(model, build_option(config["transform"])(statistics), spec, views)


def _build_model(node: Any, shapes: Shapes) -> nn.Module:
    option = build_option(node, "model")
    sizes = {"category_sizes": shapes.category_sizes} if shapes.category_sizes else {}
    supplied = named(option, {"input_shape": shapes.input_shape, "num_outputs": shapes.num_outputs, **sizes})
    if sizes and "category_sizes" not in supplied:
        names = ", ".join(column.name for column in shapes.columns if column.type == "category")
        hint = "model=mlp takes them, as a model of yours does that names category_sizes; data.drop leaves them out"
        raise InputError("model", f"takes numbers only, and the table has categories: {names}", next=hint)
    model = option(**supplied)
    if not isinstance(model, nn.Module):
        raise InputError("model", f"is a {type(model).__name__}", allowed="a torch.nn.Module")
    return model


def build_trainable(config: Any, shapes: Shapes, statistics: TrainStatistics) -> SupervisedModule:
    """The module for training."""
    check_images_only(config, shapes.kind)
    module = build_untrained(config, shapes, statistics)
    check_outputs(module, shapes)
    if config.get("mixing") and shapes.category_sizes:
        raise InputError("mixing", "makes rows between two, and categories have no between", next="mixing=none")
    if (config.get("debug") or {}).get("preset") == "overfit":
        leave_out_dropout(module.model)
    if config.get("init"):
        build_option(config["init"])(module.model)
    # a run that goes on has its weights in its own checkpoint
    given = config["model"].get("pretrained") if not config.get("resume") else None
    module.pretrained = load_pretrained(module.model, given) if given else []
    choose_trained(module.model, config)
    regularization = build_option(config["regularization"]) if config.get("regularization") else None
    if regularization is not None:
        regularization(module.model)  # a wrong strength is told here
    module.set_training(
        loss=build_option(config["loss"])()
        if reconstructs(config)
        else build_loss(build_option(config["loss"]), shapes.task, shapes.num_outputs, statistics.class_counts),
        regularization=regularization,
        make_optimizer=partial(
            build_optimizer,
            _optimizer_option(config),
            # torch's fused SGD wants the first gradients of all parameters in one step
            may_fuse=not clips_mixed(config["trainer"]) and not (config.get("finetune") or {}).get("unfreeze_epoch"),
            rates=build_option(config["rates"]) if config.get("rates") else None,
        ),
        make_schedule=build_schedule(config),
        augmentation=build_augmentation(config.get("augment"), shapes.input_shape),
        mixing=build_mixing(config.get("mixing"), shapes.task, shapes.input_shape),
        more_metrics=asked_for(config),
    )
    return module


def reconstructs(config: Mapping[str, Any]) -> bool:
    """Tell whether a run is trained to give its rows back, and looks at no target."""
    return (config.get("loss") or {}).get("_target_") == "holdfast.losses.reconstruction"


def goal_of(config: Mapping[str, Any], task: str) -> str:
    """The task that a run is trained for: that of its data, or to give its rows back."""
    return "reconstruction" if reconstructs(config) else task


def choose_trained(model: nn.Module, config: Mapping[str, Any]) -> None:
    """Leave out of training what a loss does not reach, and a body that is kept still; refuse a model without them."""
    if reconstructs(config) and not hasattr(model, "reconstruct"):
        problem = "is trained to give rows back, which this model does not"
        raise InputError("loss=reconstruction", problem, "a model with the method reconstruct(x)", "model=autoencoder")
    if isinstance(model, Autoencoder):
        (model.head if reconstructs(config) else model.decoder).requires_grad_(False)
    if config.get("finetune"):
        build_option(config["finetune"])().prepare(model, config["max_epochs"])


def leave_out_dropout(model: nn.Module) -> None:
    """Keep all units: with some of them left out a model that fits its rows still has a loss."""
    for part in model.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0


def _optimizer_option(config: Mapping[str, Any]) -> Callable[..., torch.optim.Optimizer]:
    """The optimizer option; it is given the run's rate where it has one and says nothing of it."""
    option = build_option(config["optimizer"])
    return option if "lr" in option.keywords else partial(option, **named(option, {"lr": config["lr"]}))


def build_schedule(config: Mapping[str, Any]) -> Callable[..., dict[str, Any]]:
    """A function of (optimizer, total_steps, steps_per_epoch) that gives Lightning's dictionary.

    A scheduler of torch's own kind gets its place in that dictionary. It moves by `interval` of the option's file: else
    every step where it was told their number, every epoch where not.
    """
    option, interval = build_option(config["schedule"], "schedule"), config["schedule"].get("interval")
    goal = {"monitor": config["monitor"], "mode": mode_of(config["monitor"], config["mode"], config.get("metrics"))}

    def make(optimizer: torch.optim.Optimizer, *, total_steps: int, steps_per_epoch: int) -> dict[str, Any]:
        supplied = named(option, {**goal, "total_steps": total_steps, "steps_per_epoch": steps_per_epoch})
        with blamed("schedule", "cannot be built"):
            schedule = option(optimizer, **supplied)
        if isinstance(schedule, dict):
            if interval is not None:
                raise InputError("schedule.interval", "is given, and this schedule has an interval of its own")
            return schedule
        if not isinstance(schedule, LRScheduler):
            allowed = "a scheduler of torch.optim.lr_scheduler, or Lightning's dictionary of one"
            raise InputError("schedule", f"gives a {type(schedule).__name__}", allowed)
        entry = {"scheduler": schedule, "frequency": 1}
        if isinstance(schedule, ReduceLROnPlateau):
            return {**entry, "interval": "epoch", "monitor": goal["monitor"], "strict": True}
        return {**entry, "interval": interval or ("step" if "total_steps" in supplied else "epoch"), "name": "lr"}

    return make


def clips_mixed(trainer: Mapping[str, Any]) -> bool:
    """Tell whether gradients are clipped in mixed precision, where fused kernels cannot be used."""
    return bool(trainer.get("gradient_clip_val")) and "mixed" in str(trainer.get("precision"))


def build_optimizer(
    factory: Callable[..., torch.optim.Optimizer],
    model: nn.Module,
    *,
    may_fuse: bool = True,
    rates: Rates | None = None,
    arrange: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None,
) -> torch.optim.Optimizer:
    """Hand the parameter groups of `model` to an optimizer option.

    Args:
        factory: The option; where its `fused` is null, the fused kernel is taken: on a CPU it is three times as fast.
        model: What is trained.
        may_fuse: Whether a fused kernel can be used.
        rates: Gives the share of the rate of each parameter; None: all have the whole.
        arrange: Puts other tensors in the place of the parameters in the groups, such as those of several models.

    Raises:
        InputError: The rate or another argument is out of its range, or there is nothing to train.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("model", "has no parameters to train")
    given = getattr(factory, "keywords", {})
    _check_numbers(given)
    fused = {"fused": True} if may_fuse and given.get("fused", False) is None and not given.get("foreach") else {}
    factors = rates(model) if rates is not None else None
    groups = param_groups(model, weight_decay=given.get("weight_decay") or 0.0, lr=given.get("lr"), factors=factors)
    if getattr(factory, "func", factory) is torch.optim.LBFGS and len(groups) > 1:
        raise InputError("rates", "give several rates, and lbfgs has one for all parameters", next="rates=uniform")
    try:
        return factory(groups if arrange is None else arrange(groups), **fused)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError("optimizer", str(error)) from None


def _check_numbers(given: Mapping[str, Any]) -> None:
    """Refuse numbers that torch takes, and with which nothing can be learnt."""
    for name, value in given.items():
        if isinstance(value, int | float):
            where = f"optimizer.{name}"
            require(name != "lr" or 0.0 < value < math.inf, where, value, "a positive number")
            is_share = name in ("momentum", "alpha", "rho", "dampening")  # of an average
            require(not is_share or 0.0 <= value < 1.0, where, value, f"0 <= {name} < 1")
            require(math.isfinite(value), where, value, "a finite number")


def check_outputs(module: SupervisedModule, shapes: Shapes) -> None:
    """Refuse a model whose outputs for two rows have the wrong shape, and count what a row takes."""
    module.eval()
    outputs, module.multiply_adds = _counted(module.model, shapes)
    module.train()
    _refuse_other_shape(outputs, shapes)


def check_outputs_ahead(config: Any, header: Header) -> None:
    """Refuse a model whose outputs have the wrong shape before rows are prepared, as far as their header tells.

    One that fails may still take the rows as they are: `check_outputs` tells then.
    """
    shapes = Shapes(header.task, header.kind, header.input_shape, header.num_outputs)
    try:
        outputs = try_rows(_build_model(config["model"], shapes).eval(), NUM_TRIED, shapes)
    except Exception:  # a user's own code may raise anything
        return
    _refuse_other_shape(outputs, shapes)


def _refuse_other_shape(outputs: Any, shapes: Shapes) -> None:
    answer = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    expected = (NUM_TRIED, shapes.num_outputs)
    if answer != expected:
        problem = f"gives outputs of the shape {answer} for {NUM_TRIED} rows of the shape"
        meaning = task_of(shapes.task).outputs.format(shapes.num_outputs)
        hint = f"{meaning}: let the last layer give {shapes.num_outputs} (num_outputs, where the model names it)"
        raise InputError("model", f"{problem} {_shape_text(shapes.input_shape)}", allowed=str(expected), next=hint)


def _counted(model: nn.Module, shapes: Shapes) -> tuple[Any, float]:
    """Outputs for two rows, and the multiplications with an addition that one row takes.

    Those of matrix products, convolutions and attention; where a model has none that are counted, one a parameter.
    """
    counter = FlopCounterMode(display=False)
    try:
        with counter:
            outputs = try_rows(model, NUM_TRIED, shapes)
        counted = counter.get_total_flops() / 2 / NUM_TRIED
    except InputError:  # a user's own code may not like to be watched
        outputs, counted = try_rows(model, NUM_TRIED, shapes), 0.0
    return outputs, counted or float(sum(parameter.numel() for parameter in model.parameters()))


def try_rows(model: nn.Module, num_rows: int, shapes: Shapes) -> Any:
    """The outputs of a model for rows of zeros."""
    problem = f"does not take {num_rows} rows of the shape {_shape_text(shapes.input_shape)}"
    with torch.no_grad(), blamed("model", problem):
        return model(torch.zeros(num_rows, *shapes.input_shape))


def _shape_text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
