"""Tables in Parquet: a file, several, or a folder of them."""

from __future__ import annotations

from typing import Any

from holdfast.data.first_look import has_first_look
from holdfast.data.formats.parquet import SUFFIXES, ParquetFile
from holdfast.data.rows import Rows
from holdfast.data.tables.files import OnError, Task, as_settings, load_files


@has_first_look
def load(
    path: str | list[str] | None = None,
    target: str | int | list[str | int] | None = None,
    *,
    task: Task = "auto",
    types: dict[str, str] | None = None,
    drop: str | list[str] | None = None,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    val_path: str | list[str] | None = None,
    test_path: str | list[str] | None = None,
    missing: list[Any] | None = None,
    on_error: OnError = "stop",
) -> Rows:
    """A table; columns have the types that the files say. The settings are those of `sources.csv.load`.

    Raises:
        InputError: With the row and the column at fault.
    """
    settings = as_settings(
        target,
        task=task,
        types=types,
        drop=drop,
        group=group,
        time=time,
        split_column=split_column,
        missing=missing or (),
        on_error=on_error,
    )
    return load_files(ParquetFile, settings, path=path, val_path=val_path, test_path=test_path, suffixes=SUFFIXES)
