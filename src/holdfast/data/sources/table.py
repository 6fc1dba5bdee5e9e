"""Tables in files of any of the formats in `holdfast.data.formats`, each of which is one module there."""

from __future__ import annotations

from functools import partial
from typing import Any

from holdfast.data.formats import table_format
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
        format: The name of a module of `holdfast.data.formats`.
        settings: What the user says of the columns (`data.tables.settings.TableSettings`).
        options: How files of the format are read: arguments of its `open_table`.
        val_path: Files of val rows, where `path` does not hold them.
        test_path: Files of test rows.

    Raises:
        InputError: With the line and the column at fault.
    """
    module, known = table_format(format), table_settings(settings)
    given: dict[str, Any] = {key: value for key, value in (options or {}).items() if value is not None}
    open_file = partial(module.open_table, skips=known.skips, **given)
    return load_files(open_file, known, path=path, suffixes=module.SUFFIXES, val_path=val_path, test_path=test_path)
