"""The type of a column, by all its cells that count: numbers, or categories; and what stops it from being either."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import Problem
from holdfast.data.columns import ColumnType
from holdfast.data.tables.cells import Numbers, are_digits, has_codes, kind_of, looks_like_date
from holdfast.data.tables.problems import STRAY, cell_problem, date_problem
from holdfast.data.tables.raw_table import RawTable
from holdfast.data.tables.settings import TableSettings

# Where at least so many of a column's texts are numbers, the others are mistakes.
STRAY_SHARE = 0.8
MAX_EXAMPLES = 1000


@dataclass
class ColumnFacts:
    """The facts of a column that have been seen so far.

    Attributes:
        numbers: Cells that are numbers, dates left out.
        dates: Cells that are dates.
        texts: Cells that are texts and no numbers.
        first_text: The row of the first of them; None: there is none.
        examples: Some texts.
        has_codes: Whether some texts of digits have leading zeros.
        only_digits: Whether all cells are texts of digits.
        is_typed: Whether its source says that they are numbers or dates.
    """

    numbers: int = 0
    dates: int = 0
    texts: int = 0
    first_text: int | None = None
    examples: set[str] = field(default_factory=set)
    has_codes: bool = False
    only_digits: bool = True
    is_typed: bool = True

    def add(self, array: Any, numbers: Numbers, places: NDArray[np.int64], missing: tuple[str, ...]) -> None:
        """Take in some cells, and what they are as numbers; `places` are their rows."""
        dates = 0 if numbers.is_date is None else int(numbers.is_date.sum())
        self.dates += dates
        self.numbers += int((~np.isnan(numbers.values)).sum()) - dates
        self.is_typed &= kind_of(array.type) != "text"
        if numbers.is_text is not None:
            rows = np.flatnonzero(numbers.is_text)
            self.texts += len(rows)
            self.first_text = int(places[rows[0]]) if self.first_text is None and len(rows) else self.first_text
            if len(self.examples) < MAX_EXAMPLES:
                self.examples |= set(array.take(rows[:MAX_EXAMPLES]).to_pylist())
        if self.only_digits and kind_of(array.type) == "text":
            self.only_digits = numbers.is_text is None and are_digits(array, missing)
            self.has_codes |= has_codes(array)

    @property
    def are_codes(self) -> bool:
        """True if all cells are digits, and some have leading zeros: zip codes."""
        return self.has_codes and self.only_digits and not self.is_typed


def type_of(name: str, facts: ColumnFacts, settings: TableSettings, table: RawTable) -> ColumnType | Problem:
    """The type of a feature, or the problem with it.

    Texts that are all numbers are numbers, but for codes such as 01234; a few texts among many numbers are mistakes.
    """
    asked = settings.types.get(name)
    if asked == "category":
        return "category"
    if facts.dates and not facts.texts and not facts.numbers:
        return "number" if asked == "number" else date_problem(name, _first_cell(table, name))
    if (
        asked is None
        and facts.texts
        and not facts.numbers
        and all(looks_like_date(str(text).strip()) for text in facts.examples)
    ):
        return date_problem(name, min(facts.examples), is_readable=False)
    total = facts.numbers + facts.dates + facts.texts
    if asked is None and facts.dates > STRAY_SHARE * total:
        return date_problem(name, _first_cell(table, name))
    if asked is None and (facts.are_codes or facts.numbers + facts.dates < STRAY_SHARE * total):
        return "category"
    if facts.dates and facts.numbers:
        message = f"column {name!r} holds {facts.dates:,} dates and {facts.numbers:,} numbers"
        choices = f"data.types={{{name}: category}} takes each as a category; {{{name}: drop}} leaves it out"
        return Problem("data.types", message, next=choices) if asked == "number" else "category"
    if facts.texts and not settings.skips:
        return stray_problem(name, facts, settings, table)
    return "number"


def stray_problem(name: str, facts: ColumnFacts, settings: TableSettings, table: RawTable) -> Problem:
    """The first text of a column of numbers, and how many there are."""
    total = facts.numbers + facts.dates + facts.texts
    problem = cell_problem(settings, table, name, facts.first_text or 0, STRAY)
    return replace(problem, what=f"{problem.what}: {facts.texts:,} of {total:,} cells are no numbers")


def _first_cell(table: RawTable, name: str) -> str:
    for _, batch in table.blocks([name]):
        present = batch.column(0).drop_null()
        if len(present):
            return str(present[0].as_py())
    return ""
