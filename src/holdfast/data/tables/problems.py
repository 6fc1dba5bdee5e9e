"""Problems of a table, in words: the file, the line, the column, and what to type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from holdfast.core.advice import column_type, override
from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.data.tables.raw_table import RawTable
from holdfast.data.tables.settings import TableFile, TableSettings

STRAY = "a text among the numbers"
INFINITE = "an infinite value"
ABSENT = "no value"
NO_PART = "neither train, val nor test"


def check_names(settings: TableSettings, names: Sequence[str]) -> None:
    """Refuse a table without the columns that the settings name.

    Raises:
        InputError: One problem for each, with the near name.
    """
    if not settings.target:
        advice = "data.target=COLUMN names what is predicted"
        raise InputError("data.target", "is not given", f"the columns are {listed(names)}", advice)
    asked = [(key, name) for key in ("target", "id", "types", "drop") for name in getattr(settings, key)]
    asked += [(key, getattr(settings, key)) for key in ("group", "time", "split_column")]
    allowed = f"the columns are {listed(names)}"
    problems = [
        Problem(f"data.{key}", f"there is no column {name!r}", allowed, _near(name, names))
        for key, name in asked
        if name is not None and name not in names
    ]
    if len(names) == 1 and problems:
        advice = "is data.delimiter right? does the file have a first line of names?"
        problems = [replace(problem, next=problem.next or advice) for problem in problems]
    raise_problems(problems)


def check_same_names(file: TableFile, names: Sequence[str], former: Sequence[str]) -> None:
    """Refuse a file with other columns than the files before it.

    Raises:
        InputError: With the columns that it lacks or has in addition.
    """
    lacking, extra = sorted(set(former) - set(names)), sorted(set(names) - set(former))
    words = [f"has no {', no '.join(lacking)}"] if lacking else []
    words += [f"has {', '.join(extra)}"] if extra else []
    if words:
        raise InputError("data.path", f"{file.path} {' and '.join(words)}, unlike the files before it")


def cell_problem(settings: TableSettings, table: RawTable, name: str, row: int, reason: str) -> Problem:
    """The problem with one cell, and its place."""
    text = _cell_text(table, name, row)
    advice = "mend it, or leave such rows out: data.on_error=skip"
    if reason.startswith("a text among"):
        is_missing = f"{override('data.missing', text)} if it means missing; or " if text.isprintable() else ""
        as_category = column_type(name, "category")
        advice = f"mend it; or {is_missing}{as_category}; or data.on_error=skip leaves such rows out"
    keys = (key for key in ("group", "time", "split_column") if getattr(settings, key) == name)
    where = "data.target" if name in settings.target else f"data.{next(keys, 'path')}"
    shown = f" ({text[:60]!r})" if text else ""
    return Problem(where, f"{table.place_of(row)}, column {name!r}: has {reason}{shown}", next=advice)


def _cell_text(table: RawTable, name: str, row: int) -> str:
    """A cell as the source spells it; empty where it is missing."""
    for start, batch in table.blocks([name]):
        if row < start + batch.num_rows:
            value = batch.column(0)[row - start].as_py()
            return "" if value is None else str(value)
    return ""


def listed(names: Sequence[str], most: int = 12) -> str:
    """The first names, and how many there are."""
    words = ", ".join(name if name.isprintable() else repr(name) for name in names[:most])
    return words if len(names) <= most else f"{words}, ... ({len(names)} in all)"


def _near(wrong: str, names: Sequence[str]) -> str:
    folded = {name.lower(): name for name in names}
    return f"did you mean '{folded[wrong.lower()]}'?" if wrong.lower() in folded else did_you_mean(wrong, names)
