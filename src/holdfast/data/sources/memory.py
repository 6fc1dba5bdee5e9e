"""Rows that `holdfast.train(data=...)` was given: known by the SHA-256 of their content, and read once.

The process that prepares them finds them in the file that `HANDED_OVER` names. Afterwards the store and the vault have
them, and nothing else: to prepare them again, the caller gives them again.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.arrays.rows import Layout
from holdfast.data.formats import feather
from holdfast.data.in_memory import HANDED_OVER
from holdfast.data.rows import Rows
from holdfast.data.sources import arrays as array_files
from holdfast.data.tables.read import load_files
from holdfast.data.tables.settings import Task, table_settings


def load_table(*, content: str | None = None, settings: dict[str, Any]) -> Rows:
    """A table; see `data.tables.read.load_table` for what becomes of it.

    Args:
        content: SHA-256 of the table.
        settings: What the user says of the columns (`data.tables.settings.TableSettings`).

    Raises:
        InputError: The rows are not in memory any more, or a column cannot be used.
    """
    known = table_settings(settings)
    return load_files(
        partial(feather.open_table, skips=known.skips),
        known,
        path=str(_file(content)),
        val_path=None,
        test_path=None,
        suffixes=(".arrow",),
    )


def load_arrays(*, content: str | None = None, layout: Layout = "auto", task: Task = "auto") -> Rows:
    """Features and targets; see `data.sources.arrays.load`.

    Raises:
        InputError: The rows are not in memory any more, or the arrays cannot be used.
    """
    return array_files.load(str(_file(content)), layout=layout, task=task)


def _file(content: str | None) -> Path:
    path = os.environ.get(HANDED_OVER)
    if path is None or not Path(path).is_file():
        what = f"was given in memory ({str(content)[:12]}), and is in the store no more in the form that is asked for"
        raise InputError("data", what, next="give the same rows again: holdfast.train(..., data=...)")
    return Path(path)
