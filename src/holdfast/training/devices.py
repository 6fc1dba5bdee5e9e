"""The devices of a run: the accelerator there is, and how many processes share the rows.

On several devices (`trainer.devices=2 trainer.strategy=ddp`) `batch_size` stays the rows of one step, over all devices:
each process takes every n-th row of every batch, and a run gives the same numbers as on one device, but for batch
norms and the weighted means of `cross_entropy` with class weights, which see the share of their own device, and for
what is drawn: dropout, augmentation and mixing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import nn

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.training.precision import check_precision

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "fsdp")


class StartedRanks(LightningEnvironment):
    """Tells Lightning that Holdfast starts the processes of a run (`experiment.ranks`), so that it starts none."""

    @property
    def creates_processes_externally(self) -> bool:
        """True: something else starts the processes."""
        return True


def check_accelerator(trainer_config: Mapping[str, Any]) -> None:
    """Refuse an accelerator that this machine has not, and devices that cannot work together.

    Raises:
        InputError: A GPU is asked for where there is none, or more devices than there are.
    """
    accelerator = trainer_config.get("accelerator") or "auto"
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    has["gpu"] = has["cuda"] or has["mps"]
    if not has.get(accelerator, True):
        raise InputError("trainer.accelerator", f"is '{accelerator}', but this machine has none", next="trainer=cpu")
    check_precision(trainer_config)
    raise_problems([*_device_problems(trainer_config)])


def num_devices(trainer_config: Mapping[str, Any]) -> int:
    """The number of processes of a run; 0 where the config does not say a number of devices."""
    devices = trainer_config.get("devices", 1)
    if isinstance(devices, list):
        return len(devices)
    if devices in ("auto", -1, "-1"):
        takes_gpus = trainer_config.get("accelerator") != "cpu" and torch.cuda.is_available()
        return torch.cuda.device_count() if takes_gpus else 1
    try:
        return max(0, int(devices))
    except (TypeError, ValueError):
        return 0


def check_shared(config: Mapping[str, Any], batch_size: int, num_train: int, model: nn.Module) -> None:
    """Refuse what several processes cannot share; `batch_size` is that of one step over all devices.

    Raises:
        InputError: All of it at once.
    """
    num = num_devices(config["trainer"])
    problems = []
    if num > 1:
        if batch_size < num:
            problems.append(Problem("batch_size", f"is {batch_size}: {num} devices share it", f"{num} or more"))
        rest = num_train % batch_size
        if num <= rest < 2 * num and any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules()):
            problem = f"is {batch_size}: the last {rest} of {num_train} train rows leave one device one row"
            problems.append(
                Problem("batch_size", problem, next="another batch_size: batch norm takes two rows or more")
            )
        if config["optimizer"].get("_target_") == "torch.optim.LBFGS":
            problems.append(
                Problem("optimizer", "lbfgs goes by the loss of all rows, which no device has", next="adamw")
            )
        if (config.get("finetune") or {}).get("unfreeze_epoch"):
            problem = "devices agree in the beginning on what is trained"
            problems.append(Problem("finetune.unfreeze_epoch", problem, "null on several devices"))
        if config.get("averaging"):
            problems.append(Problem("averaging", "was not tried on several devices", "none"))
    raise_problems(problems)


def _device_problems(trainer_config: Mapping[str, Any]) -> Iterator[Problem]:
    num, strategy = num_devices(trainer_config), trainer_config.get("strategy", "auto")
    devices, accelerator = trainer_config.get("devices", 1), trainer_config.get("accelerator")
    if num < 1:
        yield Problem("trainer.devices", f"is {devices}", "a number from 1, auto, or a list such as [0, 1]")
    present = torch.cuda.device_count() if accelerator != "cpu" and torch.cuda.is_available() else None
    if present is not None and num > present:
        yield Problem("trainer.devices", f"is {devices}, and there are {present} GPUs", f"1 to {present}")
    if accelerator == "mps" and num > 1:
        yield Problem("trainer.devices", f"is {devices}, and Apple silicon has one GPU", "1")
    if trainer_config.get("num_nodes", 1) != 1:
        yield Problem("trainer.num_nodes", f"is {trainer_config['num_nodes']}: runs stay on one machine", "1")
    if isinstance(strategy, str) and strategy not in STRATEGIES:
        yield Problem("trainer.strategy", f"is '{strategy}'", ", ".join(STRATEGIES))
    if strategy == "fsdp" and not torch.cuda.is_available():
        yield Problem("trainer.strategy", "is 'fsdp', which shares weights among GPUs, and there is none", next="ddp")
