"""Places on disk outside the project: the store, the vaults, the registry and the keys."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """`HOLDFAST_HOME`, or the platform's user data folder."""
    chosen = os.environ.get("HOLDFAST_HOME") or platformdirs.user_data_dir("holdfast", appauthor=False)
    return Path(chosen).expanduser().absolute()


def store() -> Path:
    """Prepared train and val rows; never a test row."""
    return home() / "store"


def vaults() -> Path:
    """Sealed test rows, manifests and ledgers, one folder a vault."""
    return home() / "vaults"


def registry() -> Path:
    """Records of the content that belongs to each vault, and the ledger heads last seen."""
    return home() / "registry"


def keys() -> Path:
    """Keys of the vaults; `HOLDFAST_KEYS` moves them elsewhere."""
    chosen = os.environ.get("HOLDFAST_KEYS")
    return Path(chosen).expanduser().absolute() if chosen else home() / "keys"
