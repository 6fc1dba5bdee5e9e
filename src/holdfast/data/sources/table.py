"""Tables in files of any of the formats in `holdfast.data.formats`, or that `holdfast.train(data=...)` was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.formats import FORMATS
from holdfast.data.formats.files import files_of
from holdfast.data.formats.typed import feather_file
from holdfast.data.in_memory import handed_over
from holdfast.data.rows import TEST, TRAIN, VAL, Rows
from holdfast.data.tables.read import load_table
from holdfast.data.tables.settings import TableFile, table_settings


def load(
    path: str | list[str] | None = None,
    *,
    format: str,
    settings: dict[str, Any],
    options: dict[str, Any] | None = None,
    val_path: str | list[str] | None = None,
    test_path: str | list[str] | None = None,
) -> Rows:
    """A table in files; those of `val_path` and `test_path` are declared val and test.

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
    if format not in FORMATS:
        raise InputError("data.source.format", f"is {format!r}", allowed=", ".join(FORMATS))
    open_table, suffixes = FORMATS[format]
    known = table_settings(settings)
    given: dict[str, Any] = {key: value for key, value in (options or {}).items() if value is not None}
    has_parts = val_path is not None or test_path is not None
    if known.split_column is not None and has_parts:
        raise InputError("data.split_column", "is given beside data.val_path or data.test_path", next="leave one out")
    paths_of = {"data.path": (path, TRAIN), "data.val_path": (val_path, VAL), "data.test_path": (test_path, TEST)}
    files: list[tuple[TableFile, int | None]] = []
    seen: dict[Path, str] = {}
    for where, (paths, part) in paths_of.items():
        for file in files_of(paths, where, suffixes) if paths is not None or part == TRAIN else ():
            if file.resolve() in seen:
                raise InputError(where, f"{file} is read twice", next=f"it belongs to {seen[file.resolve()]}")
            seen[file.resolve()] = where
            files.append((open_table(file, skips=known.skips, **given), part if has_parts else None))
    return load_table(files, known, Path(str(path)).name if len(files) == 1 else f"{len(files)} files")


def memory(*, content: str | None = None, settings: dict[str, Any]) -> Rows:
    """A table in memory, known by the SHA-256 of its content; an InputError where it is not in memory any more."""
    path = handed_over(content)
    return load_table([(feather_file(path), None)], table_settings(settings), path.name)
