"""Checks of a `_target_`: it is trusted, and its keys are arguments of it with values of their types.

Importing this module imports neither torch nor Lightning.
"""

from __future__ import annotations

import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any

from holdfast.config.groups import GROUPS
from holdfast.config.resolve import BY_PLACE, arguments, is_itself, parameters_of, resolve_target
from holdfast.core.errors import Problem, did_you_mean

FORBIDDEN = ("holdfast.vault", "holdfast.evaluation", "holdfast.cli")
HOW_CALLED = ("_target_", "_partial_", "_args_")  # keys that say how a target is called


def is_target(entry: Any) -> bool:
    """Tell whether an entry of a config names what it is built by."""
    return isinstance(entry, dict) and "_target_" in entry


def targets_below(path: str, node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with a `_target_` at or below `node`, with its path."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from targets_below(f"{path}.{key}", value)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from targets_below(f"{path}[{index}]", value)


def target_problems(path: str, node: dict[str, Any], group: str, trusted_modules: Sequence[str]) -> list[Problem]:
    """Mistakes in a target and its arguments, at a place of the config such as `data.source`.

    Modules that the user trusts may have targets of every group.
    """
    target = node["_target_"]
    where = f"{path}._target_"
    trusted = (*GROUPS[group].trusted, *trusted_modules)
    allowed = f"targets under {', '.join(trusted)}" if trusted else "no target"
    advice = "a module of your own: trusted_modules=[NAME] on the command line of train.py"
    untrusted = Problem(where, f"{target!r} is not trusted", allowed, advice)
    if not isinstance(target, str) or not _is_under(target, trusted) or _is_under(target, FORBIDDEN):
        return [untrusted]
    try:
        symbol = resolve_target(target)
    except (ImportError, AttributeError) as error:
        return [Problem(where, f"{target!r} cannot be found ({error})", next=_near_symbol(target))]
    except Exception as error:  # the user's own module: whatever it raises when it is imported
        return [Problem(where, f"{target!r} cannot be imported ({type(error).__name__}: {error})")]
    if not _is_trusted(target, symbol, trusted):
        return [untrusted]
    # A method could do more than its class is trusted with, such as `LightningModule.load_from_checkpoint`.
    if not callable(symbol) or getattr(symbol, "__qualname__", ".") != getattr(symbol, "__name__", ""):
        return [Problem(where, f"{target!r} is neither a class nor a function of a module")]
    return list(_argument_problems(path, node, target, symbol, group))


def _is_trusted(target: str, symbol: Any, trusted: Sequence[str]) -> bool:
    """Tell whether a symbol is a public one of a trusted package of ours, or defined in another trusted module.

    A module trusts nothing that it merely imports, such as `functools.partial`.
    """
    package, _, name = target.rpartition(".")
    if target.startswith("holdfast."):
        return package in trusted and name in getattr(resolve_target(package), "__all__", ())
    home = getattr(symbol, "__module__", None) or ""
    return _is_under(home, trusted) and not _is_under(home, FORBIDDEN)


def _argument_problems(path: str, node: dict[str, Any], target: str, symbol: Any, group_name: str) -> Iterator[Problem]:
    group, parameters, types_of = GROUPS[group_name], parameters_of(symbol), _types_of(symbol)
    is_option = path.count(".") == group.free  # and not below one
    given = arguments(node)
    supplied = handed_over(group_name, symbol, given) if is_option else set()
    names = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    settable = [name for name in names if name not in supplied]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in node:
        if key.startswith("_") and key not in HOW_CALLED:
            hint = "leave it out: arguments are plain lists and dictionaries, and targets among them are built"
            yield Problem(f"{path}.{key}", "is not read", ", ".join(HOW_CALLED), hint)
    for key, value in given.items():
        if is_option and key in group.own:
            continue
        if key not in settable and not (takes_any and key not in supplied):
            hint = did_you_mean(key, settable)
            yield Problem(f"{path}.{key}", f"{target} has no such argument", ", ".join(settable), hint)
        elif _has_nan(value):
            yield Problem(f"{path}.{key}", f"is {value!r}", "numbers")
        elif key in types_of and not fits(value, types_of[key]):
            allowed = type_name(types_of[key])
            hint = did_you_mean(value, allowed.split(", ")) if isinstance(value, str) else ""
            yield Problem(f"{path}.{key}", f"is {value!r}", allowed, hint)
    if is_option or not node.get("_partial_"):
        filled = group.fills if is_option else ()
        for name in settable:
            if parameters[name].default is inspect.Parameter.empty and name not in (*node, *filled):
                hint = f"docs/your-own-parts.md says what is handed to a part of {group_name}" if is_option else ""
                yield Problem(f"{path}.{name}", f"is missing; {target} needs it", next=hint)


def handed_over(group: str, symbol: Callable[..., Any], given: Mapping[str, Any]) -> set[str]:
    """The arguments that a config cannot set: those that Holdfast gives by name, or by their place."""
    by_place = GROUPS[group].calls if is_itself(group, symbol, given) else GROUPS[group].by_place
    first = list(parameters_of(symbol).values())[:by_place]
    return {*GROUPS[group].supplied, *(parameter.name for parameter in first if parameter.kind in BY_PLACE)}


def _has_nan(value: Any) -> bool:
    """Tell whether a value or one in its list is no number, which most targets take without a word."""
    return any(map(_has_nan, value)) if isinstance(value, list) else isinstance(value, float) and math.isnan(value)


@functools.cache
def _types_of(symbol: Any) -> dict[str, Any]:
    function = symbol.__init__ if inspect.isclass(symbol) else symbol
    try:
        return typing.get_type_hints(inspect.unwrap(function))
    except Exception:  # a forward reference that cannot be resolved: nothing is known of the types
        return {}


def _near_symbol(target: str) -> str:
    parent, _, name = target.rpartition(".")
    try:
        module = resolve_target(parent)
        return did_you_mean(name, getattr(module, "__all__", [w for w in vars(module) if not w.startswith("_")]))
    except (ImportError, AttributeError, TypeError):
        return ""


def _is_under(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


# --- values from YAML against the type annotations of Python functions


def fits(value: Any, annotation: Any) -> bool:
    """Tell whether a value from YAML can be meant by an annotation; what cannot be judged fits."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None or annotation is type(None):
        return value is None
    if origin is typing.Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if annotation is bool:
        return isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is str:
        return isinstance(value, str)
    container = origin or annotation
    if container is tuple and isinstance(value, list) and arguments and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    if inspect.isclass(container) and issubclass(container, list | tuple | Sequence):
        return isinstance(value, list) and all(fits(item, argument) for item in value for argument in arguments[:1])
    if inspect.isclass(container) and issubclass(container, Mapping):
        return isinstance(value, dict)
    if annotation is typing.Any or not inspect.isclass(annotation):
        return True
    # A YAML value is never an object of another class: in a union such as `float | Tensor` that arm does not speak.
    return isinstance(value, dict) or (isinstance(value, str) and issubclass(annotation, PurePath | Enum))


def type_name(annotation: Any) -> str:
    """A type in a user's words: `a number or null`, `'balanced'`, `a list of numbers`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        # an arm that no YAML value can be, such as a tensor, is not told
        words = [type_name(arm) for arm in arguments if not _is_object(arm)]
        return ", ".join(dict.fromkeys(words))
    if origin is typing.Literal:
        return ", ".join(map(str, arguments))
    if annotation in (None, type(None)):
        return "null"
    container = origin or annotation
    if inspect.isclass(container) and issubclass(container, list | tuple | Sequence) and container is not str:
        of = next((argument for argument in arguments if argument is not Ellipsis), None)
        return f"a list of {_PLURALS.get(of, type_name(of))}" if of is not None else "a list"
    if inspect.isclass(container) and issubclass(container, Mapping):
        return "keys with values"
    return _NAMES.get(annotation) or (annotation.__name__ if inspect.isclass(annotation) else str(annotation))


_NAMES: dict[Any, str] = {bool: "true, false", int: "a whole number", float: "a number", str: "a word"}
_PLURALS: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "words"}


def _is_object(annotation: Any) -> bool:
    """Tell whether a type is a class that YAML has no values of."""
    if not inspect.isclass(annotation) or annotation in (*_NAMES, type(None)):
        return False
    return not issubclass(annotation, list | tuple | Sequence | Mapping | PurePath | Enum)
