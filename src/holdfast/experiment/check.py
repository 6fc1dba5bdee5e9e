"""Checks of an experiment before its rows are read: the config, its folder, the files of its source."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from omegaconf import DictConfig

from holdfast.config.check import check_config
from holdfast.config.resolve import as_plain, call_target
from holdfast.core.errors import InputError
from holdfast.core.run_record import FILE_NAME
from holdfast.data.first_look import Header, first_look
from holdfast.training.metric_names import check_monitor, targets_set


def check_settings(config: DictConfig) -> Header | None:
    """Refuse a config that is wrong whatever its data; returns what is known of its rows before they are read.

    Raises:
        InputError: All mistakes at once, but a split's own, which comes when there are no others.
    """
    header = check_rows(config)
    check_monitor(config.monitor, own=config.get("metrics"), targets=targets_set(config))
    check_config(config)
    return header


def check_rows(config: DictConfig) -> Header | None:
    """Look at split and source for a moment, before torch is imported; returns what the header of the rows tells.

    Raises:
        InputError: A number of the split is out of its range; there is no such file, or no such column.
    """
    if averages_runs(config):
        return None
    try:
        check_config(config, ("data", "split"))
    except InputError:  # is told with all other mistakes of the config
        return None
    call_target(as_plain(config.split), "split")
    return first_look(as_plain(config.data.source))


def averages_runs(config: DictConfig) -> bool:
    """Tell whether nothing is trained: an ensemble of runs that were trained before."""
    return bool(config.get("ensemble")) and "runs" in config.ensemble


def check_free(folder: Path, where: str) -> None:
    """Refuse a folder that holds a run already, or that cannot be made; `where` is the key to blame."""
    if (folder / FILE_NAME).exists() or (folder / ".hydra").exists():
        raise InputError(where, f"{folder} holds a run already", next="choose another folder")
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    try:
        os.rmdir(tempfile.mkdtemp(dir=there))
    except OSError as error:
        raise InputError(where, f"{folder} cannot be made ({error.strerror})", next="choose another folder") from None
