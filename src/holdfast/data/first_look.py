"""A first look at a source: is there such a file, does it have such columns? Told before torch is imported.

A source that takes part in it calls `reading_begins` where what takes longer than a moment begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from holdfast.config.resolve import arguments, find_target

WITH_FIRST_LOOK = tuple(f"holdfast.sources.{name}" for name in ("table", "arrays", "image_folder", "mnist"))
_is_looking = ContextVar("first_look", default=False)


class _ReadingBegins(Exception):
    """Ends a first look."""


def reading_begins() -> None:
    """End a first look; do nothing where the source is read."""
    if _is_looking.get():
        raise _ReadingBegins


def first_look(entry: Mapping[str, Any]) -> None:
    """Look at the files and headers of a `data.source`, where its `_target_` has a first look."""
    if entry["_target_"] not in WITH_FIRST_LOOK:
        return
    token = _is_looking.set(True)
    try:
        find_target(entry["_target_"], "data.source")(**arguments(entry))
    except _ReadingBegins:
        pass
    finally:
        _is_looking.reset(token)
