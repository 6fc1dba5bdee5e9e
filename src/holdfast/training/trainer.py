"""Lightning's Trainer of a run, with the callbacks that the config asks for."""

from __future__ import annotations

import functools
import io
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities import registry
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.profilers import PassThroughProfiler

from holdfast.config.resolve import build_option
from holdfast.core.errors import InputError
from holdfast.core.files import write_atomic
from holdfast.training.devices import StartedRanks, num_devices
from holdfast.training.metric_names import names_test_rows

if TYPE_CHECKING:
    from omegaconf import DictConfig

# Lightning asks for each Trainer which callbacks other packages bring, by the metadata of all that is installed.
registry.entry_points = functools.cache(registry.entry_points)  # type: ignore[attr-defined, assignment]
# the run's own record, checkpoints, display and loggers take the places of Lightning's
OURS: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's file format, written so that a crash leaves the old file or the new one."""

    is_durable = True  # whether the disk is waited for

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write `checkpoint` to `path`."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomic(Path(path), content.getvalue(), is_durable=self.is_durable)


class NotProfiled(PassThroughProfiler):
    """No profiler. Lightning enters a context of its profiler some thirty times a step: here it is always the same."""

    nothing = nullcontext()

    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]
        """Give the context that does nothing."""
        return self.nothing


def build_trainer(config: DictConfig, folder: Path) -> pl.Trainer:
    """Build the option's Trainer with the callbacks that the config asks for.

    Raises:
        InputError: Lightning refuses a value or a combination.
    """
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):  # no notes on the console
        logging.getLogger(name).setLevel(logging.WARNING)
    # For `false` Lightning would import torch's compiler, to switch off there what is not on.
    deterministic = config.trainer.get("deterministic") or None
    if deterministic is None:
        torch.set_deterministic_debug_mode("default")
    chosen = [build_option(config[group])() for group in ("averaging", "finetune") if config.get(group)]
    try:
        trainer: pl.Trainer = build_option(config.trainer)(
            max_epochs=config.max_epochs,
            deterministic=deterministic,
            callbacks=[*chosen, *_own_callbacks(config)],
            plugins=[AtomicCheckpointIO(), *([StartedRanks()] if num_devices(config.trainer) > 1 else [])],
            default_root_dir=folder,
            **({} if config.trainer.get("profiler") else {"profiler": NotProfiled()}),
            **OURS,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        raise InputError("trainer", (str(error).splitlines() or [""])[0]) from None
    return trainer


def _own_callbacks(config: DictConfig) -> list[pl.Callback]:
    """The callbacks of the option `callbacks`: a name and a target each."""
    callbacks = {name: build_option(node)() for name, node in (config.get("callbacks") or {}).items()}
    for name, callback in callbacks.items():
        if names_test_rows(str(getattr(callback, "monitor", ""))):
            problem = f"is '{callback.monitor}': the test rows are sealed, nothing can be chosen by them"
            raise InputError(f"callbacks.{name}.monitor", problem, next="monitor a metric of the val rows")
    return list(callbacks.values())
