"""Tables in JSON lines: one object a line, plain or compressed."""

from __future__ import annotations

from functools import partial
from typing import Any

from holdfast.data.first_look import has_first_look
from holdfast.data.formats.jsonl import SUFFIXES, JsonlFile
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
    """A table; every key is a column, and missing where a line lacks it. The settings are those of `sources.csv.load`.

    Raises:
        InputError: With the line and the column at fault.
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
    open_file = partial(JsonlFile, skips=settings.skips)
    return load_files(open_file, settings, path=path, val_path=val_path, test_path=test_path, suffixes=SUFFIXES)
