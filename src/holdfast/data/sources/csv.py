"""Tables in delimited text: CSV, TSV and their like, plain or compressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.data.first_look import has_first_look
from holdfast.data.formats.csv import DECIMAL_WORDS, DELIMITER_WORDS, SUFFIXES, CsvFile
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
    delimiter: str = "auto",
    decimal: str = "auto",
    encoding: str = "utf-8",
) -> Rows:
    """A table with a line of names; see `data.tables.load` for what becomes of it.

    Args:
        path: A file, a list of files, a glob, or a folder of them; `.gz`, `.bz2`, `.xz` and `.zst` are decompressed.
        target: The column to predict, or several columns of 0 and 1.
        task: Whether it holds classes or values.
        types: By column: number, category or drop, where what is inferred is not meant.
        drop: Columns to leave out; auto: those that look like identifiers or are constant.
        group: The column whose equal values stay on one side of a split.
        time: The column that tells when a row was taken, a number or a date.
        split_column: The column that says train, val or test.
        val_path: Files of val rows, where `path` does not hold them.
        test_path: Files of test rows.
        missing: More texts that mean a missing cell.
        on_error: What becomes of a row that cannot be used: stop, or skip it and say so.
        delimiter: Between cells; auto: one of `, ; | tab`.
        decimal: The decimal point; auto: a point, or a comma where it cannot be anything else.
        encoding: As Python names them.

    Raises:
        InputError: With the line and the column at fault.
    """
    delimiter = DELIMITER_WORDS.get(delimiter, delimiter)
    decimal = DECIMAL_WORDS.get(decimal, decimal)
    problems = []
    if delimiter != "auto" and (len(delimiter.encode()) != 1 or delimiter in '"\n\r\x00'):
        problems.append(
            Problem("data.delimiter", f"is {delimiter!r}", "auto, comma, semicolon, tab, pipe, space, or one character")
        )
    if decimal not in ("auto", ".", ",") or decimal == delimiter != "auto":
        problems.append(Problem("data.decimal", f"is {decimal!r}", "auto, point or comma, and not the delimiter"))
    raise_problems(problems)
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

    def open_file(file: Path) -> CsvFile:
        if file.suffix.lower() in (".xlsx", ".xls", ".zip", ".parquet", ".npy", ".npz"):
            raise InputError(
                "data.path", f"{file} is no delimited text", next="export it as CSV, or choose its data option"
            )
        return CsvFile(file, delimiter, decimal, encoding, settings.missing, settings.skips)

    return load_files(open_file, settings, path=path, val_path=val_path, test_path=test_path, suffixes=SUFFIXES)
