"""From an option in the config to a call: the object that a `_target_` names, and what it is called with.

Holdfast calls an option with its arguments from the config and with what it knows beside them (`groups.Group`). A
class or function of the user's own need not name all of that: it is handed what it names. A plain function such as
`my_loss(outputs, targets)` is the part itself, since nobody but a step of the training can give it those two.

Importing this module imports neither torch nor Lightning.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from holdfast.config.groups import GROUPS
from holdfast.core.errors import InputError

BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_ANY = {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}


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


def leaves(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a nested config by their dotted keys; an empty mapping is a value."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            values |= leaves(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


def call_target(entry: Mapping[str, Any], where: str) -> Any:
    """Call the class or function that `_target_` names with the entry's other keys.

    One that cannot be found or called is refused; `where` is the key of the entry, which is to blame.
    """
    path = entry["_target_"]
    try:
        symbol = resolve_target(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{where}._target_", f"{path} cannot be imported ({error})") from None
    if not callable(symbol):
        raise InputError(f"{where}._target_", f"{path} is a {type(symbol).__name__}, expected a function")
    return symbol(**arguments(entry))


def resolve_target(target: str) -> Any:
    """The object that a dotted path names; imports modules on the way.

    Raises:
        ImportError: A module of the path cannot be imported.
        AttributeError: The last module has no such name.
    """
    words = target.split(".")
    module = import_module(words[0])
    symbol: Any = module
    for index, word in enumerate(words[1:], start=1):
        if isinstance(symbol, types.ModuleType) and not hasattr(symbol, word):
            try:
                symbol = import_module(".".join(words[: index + 1]))
                continue
            except ModuleNotFoundError as error:
                if error.name != ".".join(words[: index + 1]):
                    raise
        symbol = getattr(symbol, word)
    return symbol


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


def import_from_here() -> None:
    """Let modules of the user's be imported that lie beside their configs, after all that is installed."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def build_option(node: Any, group: str | None = None) -> functools.partial[Any]:
    """The class or function that an option names, with plain lists and dictionaries as arguments: it is to be called.

    It means what `hydra.utils.instantiate` means, which takes twenty times as long: ours is the trust that was checked.

    Args:
        node: The option; targets among its arguments are built.
        group: That of the option, where it has keys that are no arguments.
    """
    own = GROUPS[group].own if group else ()
    kept = {key: value for key, value in as_plain(node).items() if key not in own}
    option: functools.partial[Any] = _built({**kept, "_partial_": True})
    return option


def _built(value: Any) -> Any:
    """Build the targets in an argument, the innermost first."""
    if isinstance(value, list):
        return [_built(item) for item in value]
    if not isinstance(value, dict):
        return value
    values = {key: _built(item) for key, item in value.items()}
    if "_target_" not in values:
        return values
    part = functools.partial(resolve_target(values["_target_"]), *values.get("_args_", ()), **arguments(values))
    return part if values.get("_partial_") else part()


@functools.cache
def parameters_of(symbol: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a class or function; any keyword where they are not known, as of one written in C."""
    try:
        return inspect.signature(symbol).parameters
    except (TypeError, ValueError):
        return _ANY


def named(option: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Choose from the offered arguments those that an option names."""
    return {name: value for name, value in offered.items() if name in parameters_of(option)}


def is_itself(group: str, symbol: Callable[..., Any], given: Mapping[str, Any]) -> bool:
    """Tell whether a function is the part itself, such as `my_loss(outputs, targets)`, and not one that makes it.

    Its first arguments are then those of each call: they have no default, and neither the config, which has `given`
    ones, nor Holdfast gives them when the part is made.
    """
    count = GROUPS[group].calls
    first = list(parameters_of(symbol).values())[:count]
    return (
        0 < count == len(first)
        and not inspect.isclass(symbol)
        and all(parameter.kind in BY_PLACE and parameter.default is parameter.empty for parameter in first)
        and not any(parameter.name in given or parameter.name in GROUPS[group].supplied for parameter in first)
    )
