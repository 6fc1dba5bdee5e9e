"""Checks that are made once for all runs of a sweep that have the same data, model and loss: one kind of run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from holdfast.checks.run import raise_failed, run_checks, tell
from holdfast.checks.verdict import FILE_NAME, Verdict, checked_sweep
from holdfast.core.files import canonical_json, sha256_hex, write_atomic
from holdfast.experiment.check import averages_runs
from holdfast.experiment.experiment import Experiment

SAME_ROWS = ("data", "split", "transform", "check")
SAME_PARTS = ("model", "init", "loss", "regularization")


def check_kinds(configs: Sequence[DictConfig], sweep: Path) -> None:
    """Check one run of each kind, say what was found, and leave the verdicts for the runs of the sweep.

    Args:
        configs: Of the runs that are known before the first one starts; a run of another kind is checked as it starts.
        sweep: The folder of the sweep.

    Raises:
        RunFailed: A check fails, and `check.on_fail` is "stop".
    """
    sweep.mkdir(parents=True, exist_ok=True)
    if not (sweep / FILE_NAME).exists():
        write_atomic(sweep / FILE_NAME, "{}")
    for config in configs:
        if not averages_runs(config) and str(config.stage._target_).endswith(".fit"):
            verdicts_on(Experiment(config, sweep))


def verdicts_on(experiment: Experiment) -> list[Verdict]:
    """The verdicts on runs of this kind: those that the sweep has, or new ones, which are told.

    Raises:
        RunFailed: A check fails, and `check.on_fail` is "stop".
    """
    sweep, kind = checked_sweep(experiment.folder), _kind_of(experiment.config)
    known = {} if sweep is None else json.loads((sweep / FILE_NAME).read_text())
    if kind in known:
        verdicts = [Verdict.of(plain) for plain in known[kind]]
    else:
        verdicts = run_checks(experiment)
        tell(verdicts)
    if sweep is not None and kind not in known:
        known[kind] = [verdict.as_dict() for verdict in verdicts]
        write_atomic(sweep / FILE_NAME, json.dumps(known, indent=1) + "\n")
    if experiment.config.check and experiment.config.check.on_fail == "stop":
        raise_failed(verdicts)
    return verdicts


def _kind_of(config: DictConfig) -> str:
    values = {key: OmegaConf.to_container(config[key], resolve=True) for key in SAME_ROWS}
    parts = {key: _without_numbers(OmegaConf.to_container(config[key], resolve=True)) for key in SAME_PARTS}
    return sha256_hex(canonical_json({**values, **parts}))[:16]


def _without_numbers(node: Any) -> Any:
    """A part of the config without its numbers: a sweep over rates, widths and strengths has one kind of run."""
    if isinstance(node, dict):
        return {key: _without_numbers(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_numbers(value) for value in node if not isinstance(value, int | float)]
    is_number = isinstance(node, int | float) and not isinstance(node, bool)
    return None if is_number else node
