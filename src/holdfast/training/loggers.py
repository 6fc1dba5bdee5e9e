"""Loggers beside `metrics.csv`: Lightning's own classes, fed once per epoch."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from holdfast.config.resolve import build_option, named
from holdfast.core.errors import Problem, raise_problems
from holdfast.core.run_record import RunRecord

PACKAGES = {"WandbLogger": "wandb", "MLFlowLogger": "mlflow"}
SCALARS = ("lr", "seed", "max_epochs", "batch_size")


def check_loggers(nodes: Mapping[str, Any] | None) -> None:
    """Refuse loggers of packages that are not installed."""
    problems = []
    for name, node in (nodes or {}).items():
        package = PACKAGES.get(str(node["_target_"]).rpartition(".")[2])
        if package is not None and find_spec(package) is None:
            problems.append(Problem(f"logger.{name}", f"{package} is not installed", next=f"pip install {package}"))
    raise_problems(problems)


def build_loggers(nodes: Mapping[str, Any] | None, record: RunRecord, *, first_epoch: int) -> list[Logger]:
    """The loggers of the option; a service that keeps runs of its own goes on with the one that the record names.

    What TensorBoard has of `first_epoch` and later ones, of a run that was killed, is taken back.
    """
    loggers: list[Logger] = []
    known: dict[str, Any] = dict(record.fields.get("loggers") or {})
    for name, node in (nodes or {}).items():
        factory = build_option(node)
        kind, supplied = factory.func.__name__, named(factory, {"save_dir": record.folder})
        if first_epoch > 1 and kind == "TensorBoardLogger":
            supplied["purge_step"] = first_epoch
        if kind == "MLFlowLogger":
            address = factory.keywords.get("tracking_uri") or _mlflow_address(record)
            supplied |= {"run_name": record.folder.name, "run_id": known.get(name), "tracking_uri": address}
        if kind == "WandbLogger":
            supplied |= {"name": record.folder.name, "version": known.get(name), "resume": "allow"}
        logger = factory(**supplied)
        loggers.append(logger)
        if kind in PACKAGES:
            _ = logger.experiment  # by now the service has told the run's id
            known[name] = logger.version
    if known:
        record.update(loggers=known)
    return loggers


def _mlflow_address(record: RunRecord) -> str:
    """MLflow's own variable, which may hold a password and is not recorded; else one file beside all runs."""
    folder = Path((record.fields["config"].get("paths") or {}).get("output", record.folder))
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.absolute() / 'mlflow.db'}"


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
            parameters = inspect.signature(logger.log_hyperparams).parameters
            if "metrics" in parameters:
                arguments["metrics"] = {f"best/{best['monitor']}": best["value"]}
            if "step" in parameters:
                arguments["step"] = len(record.fields["history"])
            logger.log_hyperparams(**arguments)
        logger.finalize("success")


def close_failed(loggers: Sequence[Logger]) -> None:
    """Tell the loggers that the run has not come to its end."""
    for logger in loggers:
        logger.finalize("failed")


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
