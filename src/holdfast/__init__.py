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
    from holdfast.api import freeze as freeze
    from holdfast.api import load_run as load_run
    from holdfast.api import open_selection as open_selection
    from holdfast.api import reproduce as reproduce
    from holdfast.api import runs as runs
    from holdfast.api import sweep as sweep
    from holdfast.api import train as train
    from holdfast.core.errors import HoldfastError as HoldfastError
    from holdfast.core.errors import InputError as InputError
    from holdfast.core.errors import Interrupted as Interrupted
    from holdfast.core.errors import RunFailed as RunFailed
    from holdfast.core.errors import VaultRefused as VaultRefused
    from holdfast.experiment.experiment import Experiment as Experiment
    from holdfast.experiment.reproduction import Reproduction as Reproduction
    from holdfast.experiment.run import Run as Run
    from holdfast.training.reporter import Stop as Stop

__version__ = "0.1.0"

PUBLIC = {
    **dict.fromkeys(("train", "sweep", "load_run", "runs", "freeze", "open_selection", "reproduce"), "holdfast.api"),
    **dict.fromkeys(
        ("HoldfastError", "InputError", "Interrupted", "RunFailed", "VaultRefused"), "holdfast.core.errors"
    ),
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
