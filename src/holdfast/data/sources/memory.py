"""A table that `holdfast.train(data=...)` was given, known by the SHA-256 of its content."""

from __future__ import annotations

from functools import partial
from typing import Any

from holdfast.data.formats import feather
from holdfast.data.in_memory import handed_over
from holdfast.data.rows import Rows
from holdfast.data.tables.read import load_files
from holdfast.data.tables.settings import table_settings


def load(*, content: str | None = None, settings: dict[str, Any]) -> Rows:
    """Read the table; see `data.tables.read.load_table` for what becomes of it.

    Args:
        content: SHA-256 of the table.
        settings: What the user says of the columns (`data.tables.settings.TableSettings`).

    Raises:
        InputError: The rows are not in memory any more, or a column cannot be used.
    """
    known = table_settings(settings)
    path = str(handed_over(content))
    open_file = partial(feather.open_table, skips=known.skips)
    return load_files(open_file, known, path=path, val_path=None, test_path=None, suffixes=(".arrow",))
