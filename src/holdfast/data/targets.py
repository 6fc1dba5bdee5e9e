"""Turns a config entry with a `_target_` into a call, without Hydra and without torch."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError


def as_plain(value: Any) -> Any:
    """Dicts, lists and scalars from a config node; interpolations are resolved by reading them."""
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [as_plain(item) for item in value]
    return value


def arguments(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of an entry: all but `_target_`, `_partial_` and their like."""
    return {key: value for key, value in entry.items() if not key.startswith("_")}


def call_target(entry: Mapping[str, Any], where: str) -> Any:
    """Call what `_target_` names with the entry's other keys.

    Raises:
        InputError: There is no such module or name; `where` is the key to blame.
    """
    return find_target(entry["_target_"], where)(**arguments(entry))


def find_target(path: str, where: str) -> Callable[..., Any]:
    """The function or class with the dotted `path`."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{where}._target_", f"{path} cannot be imported ({error})") from None
    if not callable(found):
        raise InputError(f"{where}._target_", f"{path} is a {type(found).__name__}, expected a function")
    return found  # type: ignore[no-any-return]


def find_module_file(path: str) -> Path | None:
    """The file that defines the target with the dotted `path`, found without importing anything."""
    folders: Sequence[str] | None = search_path()
    spec: ModuleSpec | None = None
    name = ""
    for part in path.split(".")[:-1]:
        name = f"{name}.{part}" if name else part
        deeper = PathFinder.find_spec(name, folders) if folders is not None else None
        if deeper is None:
            break
        spec, folders = deeper, deeper.submodule_search_locations
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def search_path() -> list[str]:
    """`sys.path` and the working folder, where a user's own modules lie."""
    here = str(Path.cwd())
    folders = [entry or here for entry in sys.path]
    return folders if here in folders else [*folders, here]
