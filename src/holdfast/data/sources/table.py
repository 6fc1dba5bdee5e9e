"""Tables: from files of any format, or rows in memory, to raw cells and what is predicted, grouped, timed and declared.

Nothing here depends on a view: which features a run sees, and as what, `fit_view` decides from train and val rows.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.data.first_look import Header, reading_begins
from holdfast.data.formats import FORMATS
from holdfast.data.formats.files import files_of
from holdfast.data.formats.typed import feather_file
from holdfast.data.in_memory import handed_over
from holdfast.data.rows import TEST, TRAIN, VAL, Rows, parts_note
from holdfast.data.tables.cells import Numbers, amounts_of, dates_of, numbers_of, texts_of
from holdfast.data.tables.column_types import STRAY_SHARE, ColumnFacts, order_of, stray_problem
from holdfast.data.tables.labels import UsedColumn, rare_note, target_of
from holdfast.data.tables.raw_table import RawTable, cell_problem
from holdfast.data.tables.settings import (
    ABSENT,
    INFINITE,
    NO_PART,
    PART_WORDS,
    STRAY,
    TableFile,
    TableSettings,
    check_names,
    check_same_names,
    table_settings,
)

Mask = NDArray[np.bool_]


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


def load_table(files: Sequence[tuple[TableFile, int | None]], settings: TableSettings, name: str) -> Rows:
    """Read the files of a table, each with the part that its rows belong to, None where the files do not say.

    Raises:
        InputError: The table cannot be used; the line and the column are named.
    """
    if (names := files[0][0].column_names()) is not None:
        check_names(settings, names)
    reading_begins(None if names is None else _header_of(settings, names))
    table, parts, left_out = _read(files, settings)
    used = {column: _used(table, settings, column) for column in settings.used}
    good, reasons = _usable(table, settings, used)
    left_out += reasons
    _refuse_empty(table, int(good.sum()), left_out)
    if not good.all():
        table.keep(good)
        parts = parts[good]
        used = {column: _kept(cells, good) for column, cells in used.items()}
    target = target_of([used[name] for name in settings.target], settings.task)
    notes = [f"{count:,} rows left out with {reason}" for reason, count in left_out.items()]
    declared = parts if any(part is not None for _, part in files) else None
    if settings.split_column is not None:
        column = used[settings.split_column]
        declared = np.array([PART_WORDS[text.lower()] for text in column.texts], np.int8)[column.values]
    notes += [rare_note(target), "" if declared is None else parts_note(declared)]
    print(f"holdfast: {name}: {len(table):,} rows; {target.words}", file=sys.stderr, flush=True)
    return Rows(
        x=None,
        table=table,
        settings=settings,
        y=target.y,
        task=target.task,
        kind="table",
        class_names=target.class_names,
        target_name=", ".join(settings.target),
        groups=None if settings.group is None else np.unique(used[settings.group].values, return_inverse=True)[1],
        times=None if settings.time is None else _times(used[settings.time]),
        parts=declared,
        notes=tuple(note for note in notes if note),
    )


def _header_of(settings: TableSettings, names: Sequence[str]) -> Header | None:
    """The shapes of rows that the names of the columns tell: those of values, and of several targets."""
    num_targets = len(settings.target)
    if num_targets == 1 and settings.task != "regression":
        return None  # how many classes there are, only the rows tell
    features = set(names) - set(settings.used) - settings.dropped
    return Header("regression" if num_targets == 1 else "multitarget", "table", (len(features),), num_targets)


def _read(
    files: Sequence[tuple[TableFile, int | None]], settings: TableSettings
) -> tuple[RawTable, NDArray[np.int8], Counter[str]]:
    """The rows of all files, the part that their files declare, and how many lines were left out."""
    table, parts, left_out = RawTable([file for file, _ in files]), list[NDArray[np.int8]](), Counter[str]()
    first: list[str] = []
    for number, (file, part) in enumerate(files):
        row = 0
        file.skipped.clear()
        for names, arrays in file.batches():
            if not first:
                check_names(settings, names)
                first = names
            check_same_names(file, names, first)
            table.append(names, arrays, file=number, row=row)
            row += len(arrays[0])
            parts.append(np.full(len(arrays[0]), TRAIN if part is None else part, np.int8))
        left_out.update(file.skipped)
    _refuse_empty(table, len(table), left_out)
    if nested := [name for name in settings.used if name in table.nested]:
        problem = f"column {nested[0]!r} holds {table.nested[nested[0]]}, which is no cell of a table"
        raise InputError("data.target" if nested[0] in settings.target else "data.path", problem)
    return table, np.concatenate(parts), left_out


def _refuse_empty(table: RawTable, num_rows: int, left_out: Counter[str]) -> None:
    if not num_rows:
        path = table.files[0].path
        problem = f"no row of {path} is left" if left_out else f"{path} has a header and no rows"
        reasons = [f"{count:,} left out with {reason}" for reason, count in left_out.items()]
        raise InputError("data.path", "; ".join([problem, *reasons]))


def _used(table: RawTable, settings: TableSettings, name: str) -> UsedColumn:
    """A column as numbers or as codes of texts, whichever its cells are, and which of them cannot be used."""
    facts, cells = ColumnFacts(), list[Numbers]()
    for start, batch in table.blocks([name]):
        read = amounts_of if settings.types.get(name) == "number" else numbers_of
        cells.append(read(batch.column(0), settings.missing))
        facts.add(batch.column(0), cells[-1], start + np.arange(batch.num_rows), settings.missing)
    if name in settings.target and facts.are_dates and settings.types.get(name) != "category":
        raise InputError("data.target", f"{name!r} holds dates", next="choose a column of classes or numbers")
    if facts.are_dates and name == settings.time:
        order = order_of(name, facts, settings)
        if isinstance(order, Problem):
            raise_problems([replace(order, where="data.time")])
        cells = [dates_of(batch.column(0), settings.missing, str(order)) for _, batch in table.blocks([name])]
    if not _is_text(facts, settings, name):
        values = np.concatenate([block.values for block in cells])
        stray = np.concatenate([block.is_text for block in cells])
        if stray.any() and not settings.skips:
            raise_problems([stray_problem(name, facts, settings, table)])
        wrong = {STRAY: stray, INFINITE: np.isinf(values), ABSENT: np.isnan(values) & ~stray}
        if name == settings.split_column:
            wrong = {NO_PART: np.ones(len(values), bool)}
        return UsedColumn(name, values, (), {reason: rows for reason, rows in wrong.items() if rows.any()})
    blocks = [texts_of(batch.column(0), settings.missing) for _, batch in table.blocks([name])]
    texts = sorted({text for _, local in blocks for text in local}.difference(settings.missing))
    code_of = {text: code for code, text in enumerate(texts)}
    codes = np.concatenate([np.array([*(code_of.get(text, -1) for text in local), -1])[at] for at, local in blocks])
    wrong = {ABSENT: codes < 0}
    if name == settings.split_column:
        wrong[NO_PART] = np.array([*(text.lower() not in PART_WORDS for text in texts), False])[codes]
    return UsedColumn(name, codes, texts, {reason: rows for reason, rows in wrong.items() if rows.any()})


def _is_text(facts: ColumnFacts, settings: TableSettings, name: str) -> bool:
    """Tell whether a column that is no feature is read as texts: by what the user says of it, else by its cells."""
    asked = settings.types.get(name)
    if asked in ("category", "number"):
        return asked == "category"
    if name in settings.target and settings.task == "regression":
        return not facts.numbers  # texts alone are told so where the target is looked at
    if name in settings.target and settings.task == "classes":
        return facts.texts > 0 or facts.are_codes
    if facts.are_codes:
        return True
    if name == settings.time:
        return facts.total - facts.texts < STRAY_SHARE * facts.total
    share = STRAY_SHARE if name in settings.target else 1.0
    texts = facts.texts + facts.dates - facts.years_first  # other dates are read where times are asked for alone
    return texts > 0 and facts.total - texts < share * facts.total


def _usable(table: RawTable, settings: TableSettings, used: dict[str, UsedColumn]) -> tuple[Mask, Counter[str]]:
    """The rows of which all such columns can be used, and why others cannot."""
    wrong = [(name, reason, rows) for name, column in used.items() for reason, rows in column.wrong.items()]
    if not settings.skips:
        firsts = [(name, int(rows.argmax()), reason) for name, reason, rows in wrong]
        raise_problems([cell_problem(settings, table, *first) for first in firsts])
    good = ~np.logical_or.reduce([np.zeros(len(table), bool), *(rows for _, _, rows in wrong)])
    return good, Counter({f"{reason} in column {name!r}": int(rows.sum()) for name, reason, rows in wrong})


def _kept(column: UsedColumn, good: Mask) -> UsedColumn:
    """A column in the rows that are kept, with the texts that these have."""
    if not column.texts:
        return UsedColumn(column.name, column.values[good])
    codes, values = np.unique(column.values[good], return_inverse=True)
    return UsedColumn(column.name, values, [column.texts[code] for code in codes.tolist()])


def _times(column: UsedColumn) -> NDArray[np.float64]:
    if column.texts:
        problem = f"{column.name!r} holds texts ({column.texts[0]!r})"
        raise InputError("data.time", problem, allowed="numbers, or dates such as 2024-12-31 23:59:59")
    return column.values
