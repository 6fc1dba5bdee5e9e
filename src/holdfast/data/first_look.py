"""A first look at a source: is there such a file, does it have such columns? Told before torch is imported.

A source that takes part in it calls `reading_begins` where what takes longer than a moment begins, with what is known
of its rows by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from holdfast.config.resolve import call_target

WITH_FIRST_LOOK = tuple(f"holdfast.sources.{name}" for name in ("table", "arrays", "image_folder", "mnist"))
_is_looking = ContextVar("first_look", default=False)


@dataclass(frozen=True)
class Header:
    """The shapes of rows that are not read yet, by the header of a table or by class folders."""

    task: str  # of `core.tasks`; several targets that may be labels, too, count as values
    kind: str  # "image" or "table"
    input_shape: tuple[int, ...]  # about that of a row: which columns have missing cells, only the rows tell
    num_outputs: int  # of the model for a row


class _ReadingBegins(Exception):
    """Ends a first look."""

    def __init__(self, header: Header | None) -> None:
        super().__init__()
        self.header = header


def reading_begins(header: Header | None = None) -> None:
    """End a first look, with what is known of the rows where it is enough; do nothing where the source is read."""
    if _is_looking.get():
        raise _ReadingBegins(header)


def first_look(entry: Mapping[str, Any]) -> Header | None:
    """Look at the files and headers of a `data.source`, where its `_target_` has a first look.

    Returns:
        What they tell of the rows; None where it is not enough.
    """
    if entry["_target_"] not in WITH_FIRST_LOOK:
        return None
    token = _is_looking.set(True)
    try:
        call_target(entry, "data.source")
    except _ReadingBegins as looked:
        return looked.header
    finally:
        _is_looking.reset(token)
    return None
