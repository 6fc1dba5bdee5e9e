"""pyarrow as `pa` and its functions as `pc`, imported when something of them is used: a first look goes without."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class _Late:
    """A module whose attributes are looked up when they are asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(import_module(self._name), attribute)
        setattr(self, attribute, value)
        return value


pa, pc = _Late("pyarrow"), _Late("pyarrow.compute")
