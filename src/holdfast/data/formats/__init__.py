"""Formats of files. A module with `SUFFIXES` and `open_table(path, *, skips, ...)` is a format of tables.

`open_table` gives a `data.tables.settings.TableFile`. An option of the group `data` names the module
(`format: feather`), and predicting knows its files by their suffix: a new format is one module and one option.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.formats.files import COMPRESSED


def table_format(name: str) -> Any:
    """The module of a format of tables.

    Raises:
        InputError: There is no such format.
    """
    names = sorted(table_formats())
    if name not in names:
        raise InputError("data.source.format", f"is {name!r}", allowed=", ".join(names))
    return table_formats()[name]


@lru_cache
def table_formats() -> dict[str, Any]:
    """All formats of tables by name."""
    modules = {
        entry.name: importlib.import_module(f"{__name__}.{entry.name}") for entry in pkgutil.iter_modules(__path__)
    }
    return {name: module for name, module in modules.items() if hasattr(module, "open_table")}


def table_suffixes() -> tuple[str, ...]:
    """The suffixes of all formats of tables."""
    return tuple(suffix for module in table_formats().values() for suffix in module.SUFFIXES)


def format_of(path: Path) -> Any:
    """The module of the format of a file by its suffix, compressed or not; delimited text where none is known."""
    name = path.name.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    matches = (module for module in table_formats().values() if name.endswith(tuple(module.SUFFIXES)))
    return next(matches, table_formats()["csv"])
