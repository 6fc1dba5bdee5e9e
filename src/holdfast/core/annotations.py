"""Whether a value from YAML can be meant by a type annotation of a Python function."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value from YAML can be meant by an annotation; what cannot be judged fits."""
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
    if inspect.isclass(container) and issubclass(container, dict):
        return isinstance(value, dict)
    if annotation is typing.Any or not inspect.isclass(annotation):
        return True
    # A YAML value is never an object of another class: in a union such as `float | Tensor` that arm does not speak.
    return isinstance(value, dict) or (isinstance(value, str) and issubclass(annotation, PurePath | Enum))


def type_name(annotation: Any) -> str:
    """How a type is told to a user: `float | null`."""
    if inspect.isclass(annotation) and not typing.get_args(annotation):
        return str(annotation.__name__)
    words = re.sub(r"\b(typing|collections\.abc|torch|pathlib)\.", "", str(annotation))
    return re.sub(r"\bNone(Type)?\b", "null", words)
