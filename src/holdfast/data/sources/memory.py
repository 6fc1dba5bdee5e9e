"""Rows that `holdfast.train(data=...)` was given, known by the SHA-256 of their content."""

from __future__ import annotations

from functools import partial
from typing import Any

from holdfast.data.arrays import Layout
from holdfast.data.formats import feather
from holdfast.data.in_memory import handed_over
from holdfast.data.rows import Rows
from holdfast.data.sources import arrays
from holdfast.data.tables.read import load_files
from holdfast.data.tables.settings import Task, table_settings


def memory(*, content: str | None = None, settings: dict[str, Any]) -> Rows:
    """A table; see `data.tables.read.load_table` for what becomes of it.

    Args:
        content: SHA-256 of the table.
        settings: What the user says of the columns (`data.tables.settings.TableSettings`).

    Raises:
        InputError: The rows are not in memory any more, or a column cannot be used.
    """
    known = table_settings(settings)
    open_file = partial(feather.open_table, skips=known.skips)
    return load_files(open_file, known, path=str(handed_over(content)), suffixes=(".arrow",))


def memory_arrays(*, content: str | None = None, layout: Layout = "auto", task: Task = "auto") -> Rows:
    """Features and targets of `holdfast.train(data=x, target=y)`; see `data.sources.arrays.load`.

    Raises:
        InputError: The rows are not in memory any more, or the arrays cannot be used.
    """
    return arrays.load(str(handed_over(content)), layout=layout, task=task)
