"""Values from YAML against the type annotations of Python functions."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any


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
