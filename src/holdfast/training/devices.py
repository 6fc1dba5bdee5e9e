"""The devices of a run: the accelerator there is, how many processes share the rows, number formats, and threads.

On several devices (`trainer.devices=2 trainer.strategy=ddp`) `batch_size` stays the rows of one step, over all devices:
each process takes every n-th row of every batch, and a run gives the same numbers as on one device, but for batch
norms and the weighted means of `cross_entropy` with class weights, which see the share of their own device, and for
what is drawn: dropout, augmentation and mixing.

One thread and two give sums that differ in the last bits, so the number of threads that compute a run's steps
(`threads=auto`) must be the same whenever a run goes on: it is decided once, before the first step, by the size of a
step and never by its time, and stands in the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import nn

from holdfast.core.cores import threads_allowed
from holdfast.core.errors import InputError, Problem, raise_problems

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "fsdp")
HALF = (torch.float16, torch.bfloat16)
LONG_NAMES = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}  # of precisions, Lightning's
PRECISIONS = {"cpu": ("32-true", "64-true", "bf16-mixed"), "mps": ("32-true", "16-mixed", "bf16-mixed")}
# Measured on two cores (`tests/benchmarks/start_up.py steps`): below it a second thread gains less than a tenth of a
# step where nothing else runs, and doubles the step where other processes do.
MULTIPLY_ADDS_PER_THREAD = 15e6
MOST_THREADS = torch.get_num_threads()  # as torch found them: one for each core that computes


class StartedRanks(LightningEnvironment):
    """Tells Lightning that Holdfast starts the processes of a run (`experiment.ranks`), so that it starts none."""

    @property
    def creates_processes_externally(self) -> bool:
        """True: something else starts the processes."""
        return True


def check_accelerator(trainer_config: Mapping[str, Any]) -> None:
    """Refuse an accelerator that this machine has not, and devices that cannot work together."""
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
    """Refuse what several processes cannot share; `batch_size` is that of one step over all devices."""
    num, problems = num_devices(config["trainer"]), list[Problem]()
    if num <= 1:
        return
    if batch_size < num:
        problems.append(Problem("batch_size", f"is {batch_size}: {num} devices share it", f"{num} or more"))
    rest = num_train % batch_size
    if num <= rest < 2 * num and any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules()):
        problem = f"is {batch_size}: the last {rest} of {num_train} train rows leave one device one row"
        problems.append(Problem("batch_size", problem, next="another batch_size: batch norm takes two rows or more"))
    if config["optimizer"].get("_target_") == "torch.optim.LBFGS":
        problems.append(Problem("optimizer", "lbfgs goes by the loss of all rows, which no device has", next="adamw"))
    if (config.get("finetune") or {}).get("unfreeze_epoch"):
        problem = "devices agree in the beginning on what is trained"
        problems.append(Problem("finetune.unfreeze_epoch", problem, "null on several devices"))
    if config.get("averaging"):
        problems.append(Problem("averaging", "was not tried on several devices", "none"))
    raise_problems(problems)


def check_precision(trainer: Mapping[str, Any]) -> None:
    """Refuse a precision that the device lacks, and weights, rows and statistics in half precision."""
    device, precision = device_of(str(trainer.get("accelerator") or "auto")), precision_of(trainer)
    if precision in ("16-true", "bf16-true"):
        problem = f"is '{precision}', which rounds rows and their statistics to three digits"
        raise InputError("trainer.precision", problem, next=f"trainer.precision={precision.replace('true', 'mixed')}")
    is_known = precision in {name for names in PRECISIONS.values() for name in names}  # others are judged by Lightning
    if device in PRECISIONS and is_known and precision not in PRECISIONS[device]:
        problem = f"is '{precision}', which {'a CPU' if device == 'cpu' else 'an Apple GPU'} lacks"
        raise InputError("trainer.precision", problem, ", ".join(PRECISIONS[device]))
    if device == "cuda" and precision.startswith("bf16") and not torch.cuda.is_bf16_supported():
        problem = f"is '{precision}', which {torch.cuda.get_device_name()} lacks"
        raise InputError("trainer.precision", problem, "32-true, 64-true, 16-mixed")


def precision_of(trainer: Mapping[str, Any]) -> str:
    """The precision of a trainer option, by Lightning's long name."""
    given = str(trainer.get("precision") or "32-true")
    return LONG_NAMES.get(given, given)


def device_of(accelerator: str) -> str:
    """The kind of device that an accelerator's name comes to here: cpu, cuda, mps, or the name itself."""
    if accelerator not in ("auto", "gpu"):
        return accelerator
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def set_threads(config: Mapping[str, Any], multiply_adds: float, batch_size: int) -> int:
    """Have torch compute with as many threads as the config asks for, or as pay; returns the number.

    A forward pass of one row takes `multiply_adds`; `batch_size` are the rows of a step over all devices.
    """
    share = max(1, min(MOST_THREADS, threads_allowed()) // max(1, num_devices(config["trainer"])))
    threads: Any = config.get("threads", "auto")
    if threads == "auto":
        work = 3 * batch_size * multiply_adds  # forward, and twice as much backward
        threads = max(1, min(share, int(work / MULTIPLY_ADDS_PER_THREAD)))
    torch.set_num_threads(threads)
    return int(threads)


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
