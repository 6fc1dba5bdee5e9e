"""A first look at a source: is there such a file, does it have such columns? Told before torch is imported.

A source takes part in it by being decorated with `has_first_look` and calling `reading_begins` where what takes
longer than a moment begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from holdfast.config.resolve import arguments, find_target

Source = TypeVar("Source", bound=Callable[..., Any])

_is_looking = ContextVar("first_look", default=False)
_with_first_look: set[Callable[..., Any]] = set()


class _ReadingBegins(Exception):
    """Ends a first look."""


def has_first_look(source: Source) -> Source:
    """Mark a source that calls `reading_begins`."""
    _with_first_look.add(source)
    return source


def reading_begins() -> None:
    """End a first look; do nothing where the source is read."""
    if _is_looking.get():
        raise _ReadingBegins


def first_look(entry: Mapping[str, Any]) -> None:
    """Look at a source's files and headers, where it has a first look.

    Args:
        entry: `data.source`: a `_target_` and its arguments.

    Raises:
        InputError: What the source says of them.
    """
    source = find_target(entry["_target_"], "data.source") if entry["_target_"].startswith("holdfast.") else None
    if source not in _with_first_look:
        return
    token = _is_looking.set(True)
    try:
        source(**arguments(entry))
    except _ReadingBegins:
        pass
    finally:
        _is_looking.reset(token)
