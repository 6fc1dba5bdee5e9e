"""Groups of runs that may be trained together, by their configs alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.config.resolve import as_plain
from holdfast.training.build import reconstructs
from holdfast.training.devices import device_of, num_devices, precision_of

# optimizers that move every number by itself, so that one step moves the weights of all members
BY_NUMBER = (
    *(f"torch.optim.{name}" for name in ("SGD", "Adam", "AdamW", "RAdam", "RMSprop", "Adagrad", "Adadelta")),
    *("holdfast.optimizers.NAdam", "holdfast.optimizers.Lion"),
)
# settings of the trainer that a stack follows, or that mean nothing to it
FOLLOWED = (
    *("accelerator", "devices", "num_nodes", "strategy", "precision", "deterministic", "benchmark"),
    *("gradient_clip_val", "gradient_clip_algorithm"),
)
# every member has its own of these: they are the business of its optimizer, its loss, or of the end of its epochs
OWN = ("seed", "lr", "max_epochs", "monitor", "mode", "schedule", "regularization", "early_stopping", "resume", "paths")
OWN_IN_GROUP = {
    "optimizer": ("lr", "betas", "weight_decay", "momentum"),
    "model": ("dropout",),
    "loss": ("label_smoothing",),
}


def group(configs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Divide runs into those that are trained together.

    Returns:
        The places of the runs of each group, in their order; a run that is trained alone is a group of one.
    """
    groups: dict[str, list[int]] = {}
    for index, config in enumerate(configs):
        key = f"{index}" if why_alone(config) else _key(config)
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def why_alone(config: Mapping[str, Any]) -> str | None:
    """Say why a run can be trained with no other one; None where it can."""
    trainer = as_plain(config["trainer"])
    for name in ("averaging", "mixing", "finetune", "callbacks", "watch", "ensemble", "compile"):
        if config.get(name):
            return f"{name} is chosen, which works on the training of one model"
    if config["optimizer"]["_target_"] not in BY_NUMBER:
        name = str(config["optimizer"]["_target_"]).rpartition(".")[2]
        return f"the optimizer {name} looks at more than one number of the weights at a time"
    if reconstructs(config):
        return "loss=reconstruction is trained alone"
    if not str(config["transform"]["_target_"]).startswith("holdfast.transforms."):
        return "the transform is not one of Holdfast's"
    if device_of(str(trainer.get("accelerator") or "auto")) != "cpu" or num_devices(trainer) > 1:
        return "runs are stacked on one CPU"
    if precision_of(trainer) not in ("32-true", "64-true"):
        return f"trainer.precision is {precision_of(trainer)}, and stacks have 32-true or 64-true"
    for name, value in trainer.items():
        if not name.startswith("_") and name not in FOLLOWED and value not in (None, 1):
            return f"trainer.{name} is {value}"
    return None


def _key(config: Mapping[str, Any]) -> str:
    """The part of a config that is the same in all of a group, as text."""
    shared = {name: value for name, value in as_plain(config).items() if name not in OWN}
    for name, own in OWN_IN_GROUP.items():
        shared[name] = {key: value for key, value in shared[name].items() if key not in own}
    return json.dumps(shared, sort_keys=True, default=str)


def alike(configs: Sequence[Mapping[str, Any]]) -> list[range]:
    """Divide the members of a stack into runs of neighbours that differ in nothing but the seed.

    A member whose schedule goes by what it measures, as one of the user's own may, is by itself: its rate is its own.
    """
    ranges: list[range] = []
    keys = [
        json.dumps({**as_plain(config), **dict.fromkeys(("seed", "resume", "paths"))}, default=str)
        for config in configs
    ]
    for index, (key, config) in enumerate(zip(keys, configs, strict=True)):
        target = str(config["schedule"]["_target_"])
        is_own = not target.startswith("holdfast.schedules.") or target.endswith(".plateau")
        if index and not is_own and key == keys[index - 1]:
            ranges[-1] = range(ranges[-1].start, index + 1)
        else:
            ranges.append(range(index, index + 1))
    return ranges
