"""Tables in files of any of the formats in `holdfast.data.formats`, or that `holdfast.train(data=...)` was given."""

from __future__ import annotations

from functools import partial
from typing import Any

from holdfast.data.formats import table_format
from holdfast.data.formats.typed import feather_file
from holdfast.data.in_memory import handed_over
from holdfast.data.rows import Rows
from holdfast.data.tables.read import load_files
from holdfast.data.tables.settings import table_settings


def load(
    path: str | list[str] | None = None,
    *,
    format: str,
    settings: dict[str, Any],
    options: dict[str, Any] | None = None,
    val_path: str | list[str] | None = None,
    test_path: str | list[str] | None = None,
) -> Rows:
    """A table; see `data.tables.read.load_table` for what becomes of it.

    Args:
        path: A file, a list of files, a glob, or a folder of them.
        format: One of `holdfast.data.formats.FORMATS`.
        settings: What the user says of the columns (`data.tables.settings.TableSettings`).
        options: How files of the format are read: arguments of its `open_table`.
        val_path: Files of val rows, where `path` does not hold them.
        test_path: Files of test rows.

    Raises:
        InputError: With the line and the column at fault.
    """
    chosen, known = table_format(format), table_settings(settings)
    given: dict[str, Any] = {key: value for key, value in (options or {}).items() if value is not None}
    open_file = partial(chosen.open_table, skips=known.skips, **given)
    return load_files(open_file, known, path=path, suffixes=chosen.suffixes, val_path=val_path, test_path=test_path)


def memory(*, content: str | None = None, settings: dict[str, Any]) -> Rows:
    """A table in memory, known by the SHA-256 of its content.

    Raises:
        InputError: The rows are not in memory any more, or a column cannot be used.
    """
    known = table_settings(settings)
    open_file = partial(feather_file, skips=known.skips)
    return load_files(open_file, known, path=str(handed_over(content)), suffixes=(".arrow",))
