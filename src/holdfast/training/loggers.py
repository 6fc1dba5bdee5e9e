"""Loggers beside `metrics.csv`: Lightning's own classes, fed once per epoch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from holdfast.core.run_record import RunRecord
from holdfast.training.options import build_option

SCALARS = ("lr", "seed", "max_epochs", "batch_size")


def build_loggers(nodes: Mapping[str, Any] | None, folder: Path, *, first_epoch: int) -> list[Logger]:
    """The loggers of the option, writing into the run's folder.

    Args:
        nodes: Name -> target; empty where nothing is logged.
        folder: The run's folder.
        first_epoch: What TensorBoard has of this epoch and later ones (of a run that was killed) is taken back.
    """
    loggers = []
    for node in (nodes or {}).values():
        factory = build_option(node)
        supplied: dict[str, Any] = {}
        if "save_dir" in inspect.signature(factory).parameters:
            supplied["save_dir"] = folder
        if first_epoch > 1 and factory.func.__name__ == "TensorBoardLogger":
            supplied["purge_step"] = first_epoch
        loggers.append(factory(**supplied))
    return loggers


def log_epoch(loggers: Sequence[Logger], entry: Mapping[str, Any]) -> None:
    """Write one entry of the history; the step is the epoch, from 1."""
    numbers = {name: value for name, value in entry.items() if name not in ("epoch", "step")}
    for logger in loggers:
        logger.log_metrics(numbers, step=entry["epoch"])
        logger.save()


def log_outcome(loggers: Sequence[Logger], record: RunRecord) -> None:
    """Write what was chosen and the best val metric (TensorBoard: HPARAMS), and close the files."""
    best = record.fields["best"]
    for logger in loggers:
        if best is not None:
            arguments: dict[str, Any] = {"params": hyperparameters(record.fields)}
            named = inspect.signature(logger.log_hyperparams).parameters
            if "metrics" in named:
                arguments["metrics"] = {f"best/{best['monitor']}": best["value"]}
            if "step" in named:
                arguments["step"] = len(record.fields["history"])
            logger.log_hyperparams(**arguments)
        logger.finalize("success")


def hyperparameters(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The run's scalars, the options of its groups and what was typed, by name."""
    config = fields.get("config") or {}
    chosen = {name: config[name] for name in SCALARS if name in config}
    chosen |= {key: str(value) for key, value in (fields.get("choices") or {}).items() if not key.startswith("hydra/")}
    typed = (override.lstrip("+~").partition("=") for override in fields.get("overrides") or [])
    return chosen | {key: _plain(value) for key, _, value in typed}


def _plain(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
