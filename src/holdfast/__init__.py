"""Holdfast: declarative experiments whose test rows stay locked until the one final evaluation.

The Python API is `holdfast.api`; its names are here, and are imported when they are used.
"""

from __future__ import annotations

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:  # `python -m holdfast...`: a secrets.py in the working folder
    sys.path.append(sys.path.pop(0))  # is not Python's: what is installed comes first

from importlib import import_module
from typing import TYPE_CHECKING, Any

from holdfast.core.deferred_imports import defer_imports

if TYPE_CHECKING:
    from holdfast.api import freeze, load_run, open_selection, reproduce, runs, sweep, train
    from holdfast.core.errors import HoldfastError, InputError, Interrupted, RunFailed, VaultRefused
    from holdfast.experiment.experiment import Experiment
    from holdfast.experiment.reproduction import Reproduction
    from holdfast.experiment.run import Run
    from holdfast.training.reporter import Stop

__version__ = "0.1.0"
__all__ = ["Experiment", "HoldfastError", "InputError", "Interrupted", "Reproduction", "Run", "RunFailed", "Stop"]
__all__ += ["VaultRefused", "freeze", "load_run", "open_selection", "reproduce", "runs", "sweep", "train"]
ERRORS = ("HoldfastError", "InputError", "Interrupted", "RunFailed", "VaultRefused")
PUBLIC = {
    **dict.fromkeys(("train", "sweep", "load_run", "runs", "freeze", "open_selection", "reproduce"), "holdfast.api"),
    **dict.fromkeys(ERRORS, "holdfast.core.errors"),
    "Experiment": "holdfast.experiment.experiment",
    "Reproduction": "holdfast.experiment.reproduction",
    "Run": "holdfast.experiment.run",
    "Stop": "holdfast.training.reporter",
}

defer_imports()  # before anything of ours imports torch


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*PUBLIC, "__version__"]
