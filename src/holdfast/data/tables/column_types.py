"""The type of a column, by all its cells that count: numbers, dates or categories, and what stops it from being any.

Some columns are not what they seem: texts that are no categories, numbers that name rows, texts that are numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.advice import column_type, setting
from holdfast.core.errors import Problem
from holdfast.data.arrow import pc
from holdfast.data.columns import MISSING
from holdfast.data.formats.numbers import guess_marks, has_unit
from holdfast.data.tables.cells import (
    Numbers,
    are_digits,
    has_codes,
    is_code,
    is_dressed_number,
    is_like_number,
    kind_of,
    looks_like_date,
    trimmed,
)
from holdfast.data.tables.dates import DAY_FIRST, MAY_BE_DATE, MONTH_FIRST, as_mask, days_in
from holdfast.data.tables.raw_table import RawTable, cell_problem
from holdfast.data.tables.settings import DATE_TYPES, STRAY, TableSettings

# Where at least so many of a column's texts are numbers, the others are mistakes.
STRAY_SHARE = 0.8
MOST_MISSING_WORDS = 6  # a column with more wrong texts than these has mistakes, no words for a missing cell
MAX_EXAMPLES = 1000
ID_WORDS = ("id", "index", "uuid", "guid", "rowid", "row")
# Texts of so many words on average, of which at least so large a share of the rows has one of its own, are prose.
WORDS_OF_PROSE = 4
SHARE_OF_PROSE = 0.5
TEXTS_LOOKED_AT = 10_000


@dataclass
class ColumnFacts:
    """The facts of a column that have been seen so far."""

    numbers: int = 0  # cells that are numbers, dates left out
    dates: int = 0  # cells that are dates
    texts: int = 0  # cells that are texts and neither numbers nor dates
    first_text: int | None = None  # the row of the first of them; None: there is none
    examples: set[str] = field(default_factory=set)  # some texts
    years_first: int = 0  # dates that begin with their year
    # other dates by the order in which they can be read; most can be in both
    in_order: dict[str, int] = field(default_factory=lambda: {DAY_FIRST: 0, MONTH_FIRST: 0})
    only_in: dict[str, str] = field(default_factory=dict)  # a date that can be read in this order alone
    has_codes: bool = False  # whether some texts of digits have leading zeros
    only_digits: bool = True  # whether all cells are texts of digits
    is_typed: bool = True  # whether its source says that they are numbers or dates

    def add(self, array: Any, numbers: Numbers, places: NDArray[np.int64], missing: tuple[str, ...]) -> None:
        """Take in some cells, and what they are as numbers; `places` are their rows."""
        dates = int(numbers.is_date.sum())
        self.dates += dates
        self.years_first += dates
        self.numbers += int((~np.isnan(numbers.values)).sum()) - dates
        self.is_typed &= kind_of(array.type) != "text"
        if numbers.is_text.any():
            rows = np.flatnonzero(numbers.is_text)
            rows = rows[~self._add_dates(trimmed(array.take(rows)))]
            self.texts += len(rows)
            self.first_text = int(places[rows[0]]) if self.first_text is None and len(rows) else self.first_text
            if len(self.examples) < MAX_EXAMPLES:
                self.examples |= set(array.take(rows[:MAX_EXAMPLES]).to_pylist())
        if self.only_digits and kind_of(array.type) == "text":
            self.only_digits = not numbers.is_text.any() and are_digits(array, missing)
            self.has_codes |= has_codes(array)

    def _add_dates(self, texts: Any) -> NDArray[np.bool_]:
        """Count texts that are dates without the year first; returns which are."""
        may_be = pc.match_substring_regex(texts, MAY_BE_DATE)
        are_dates = as_mask(may_be)
        if not are_dates.any():
            return are_dates
        candidates = texts.filter(may_be)
        reads = {order: ~np.isnan(days_in(candidates, order)) for order in self.in_order}
        for order, other in ((DAY_FIRST, MONTH_FIRST), (MONTH_FIRST, DAY_FIRST)):
            self.in_order[order] += int(reads[order].sum())
            if (alone := reads[order] & ~reads[other]).any():
                self.only_in.setdefault(order, candidates[int(alone.argmax())].as_py())
        are_dates[are_dates] = reads[DAY_FIRST] | reads[MONTH_FIRST]
        self.dates += int(are_dates.sum())
        return are_dates

    @property
    def total(self) -> int:
        """The number of cells that are not missing."""
        return self.numbers + self.dates + self.texts

    @property
    def orders(self) -> list[str]:
        """The orders of day and month in which all dates can be read; none where the year comes first in all."""
        others = self.dates - self.years_first
        return [order for order, count in self.in_order.items() if others and count == others]

    @property
    def are_dates(self) -> bool:
        """True if hardly any cell is no date."""
        return self.dates > STRAY_SHARE * self.total

    @property
    def are_codes(self) -> bool:
        """True if all cells are digits, and some have leading zeros: zip codes."""
        return self.has_codes and self.only_digits and not self.is_typed


def type_of(name: str, facts: ColumnFacts, settings: TableSettings, table: RawTable) -> str | Problem:
    """The type of a feature, "number", "category" or "date", or the problem with it.

    Texts that are all numbers are numbers, but for codes such as 01234; a few texts among many numbers are mistakes.
    """
    asked = settings.types.get(name)
    if asked == "category":
        return "category"
    if asked in DATE_TYPES or (facts.dates and (facts.are_dates or (asked == "number" and not facts.numbers))):
        return _date_type(name, facts, settings, table)
    is_unread = facts.texts and not facts.numbers and not facts.dates
    if asked is None and is_unread and all(looks_like_date(str(text).strip()) for text in facts.examples):
        problem = f"column {name!r} holds dates ({min(facts.examples)}) in a form that is not read"
        return Problem("data.types", problem, next=f"write them as 2024-12-31; or {_choices(name)}")
    if asked is None and (facts.are_codes or facts.numbers + facts.dates < STRAY_SHARE * facts.total):
        return "category"
    if facts.dates and facts.numbers:
        message = f"column {name!r} holds {facts.dates:,} dates and {facts.numbers:,} numbers"
        return Problem("data.types", message, next=_choices(name)) if asked == "number" else "category"
    if facts.texts and not settings.skips:
        return stray_problem(name, facts, settings, table)
    return "number"


def order_of(name: str, facts: ColumnFacts, settings: TableSettings) -> str | Problem:
    """The order of day and month in a column of dates, "" where no date depends on it, or the problem with it."""
    asked = settings.types.get(name)
    if asked in (DAY_FIRST, MONTH_FIRST):
        return asked
    if facts.dates == facts.years_first:
        return ""
    if len(facts.orders) == 1:
        return facts.orders[0]
    if facts.orders:
        choices = f"{column_type(name, DAY_FIRST)}; or {column_type(name, MONTH_FIRST)}"
        problem = f"column {name!r} holds dates that can be read in two ways: with the day or with the month first"
        return Problem("data.types", problem, next=choices)
    shown = f"the day first ({facts.only_in[DAY_FIRST]}) and with the month first ({facts.only_in[MONTH_FIRST]})"
    return Problem("data.types", f"column {name!r} holds dates with {shown}", next=f"write one form; {_choices(name)}")


def stray_problem(name: str, facts: ColumnFacts, settings: TableSettings, table: RawTable) -> Problem:
    """The first text of a column of numbers or dates, and how many there are."""
    words = "dates" if facts.are_dates or settings.types.get(name) in DATE_TYPES else "numbers"
    others = {str(text).strip() for text in facts.examples} if len(facts.examples) <= MOST_MISSING_WORDS else ()
    problem = cell_problem(settings, table, name, facts.first_text or 0, STRAY.replace("numbers", words), others=others)
    return replace(problem, what=f"{problem.what}: {facts.texts:,} of {facts.total:,} cells are no {words}")


def _date_type(name: str, facts: ColumnFacts, settings: TableSettings, table: RawTable) -> str | Problem:
    if facts.texts and not settings.skips:
        return stray_problem(name, facts, settings, table)
    if facts.numbers and not settings.skips:
        message = f"column {name!r} holds {facts.dates:,} dates and {facts.numbers:,} numbers"
        return Problem("data.types", message, next=_choices(name))
    order = order_of(name, facts, settings)
    return order if isinstance(order, Problem) else "date"


def _choices(name: str) -> str:
    """The words for a column that is neither numbers nor dates."""
    as_category, left_out = column_type(name, "category"), column_type(name, "drop")
    return f"{as_category} takes each as a category; or {left_out} leaves it out"


def says_nothing(texts: Collection[str], num_rows: int) -> str:
    """The reason why the texts of a column are no categories; empty where they are."""
    looked_at = [text for text in itertools.islice(texts, TEXTS_LOOKED_AT) if text != MISSING]
    words = sum(len(text.split()) for text in looked_at) / max(1, len(looked_at))
    if len(texts) >= SHARE_OF_PROSE * num_rows and words >= WORDS_OF_PROSE:
        return f"holds free text ({words:.0f} words a row)"
    return "has a text of its own in every row" if len(texts) == num_rows else ""


def looks_like_id(name: str) -> bool:
    """Tell whether a column is called as one that names rows."""
    folded = name.lower().replace("-", "_").replace(" ", "_")
    return (
        folded in ID_WORDS
        or folded.endswith(("_id", "_index", "_uuid"))
        or folded.startswith(("id_", "unnamed:"))
        or (name.endswith(("Id", "ID")) and not name.isupper())
    )


def date_note(name: str, facts: ColumnFacts) -> str:
    """The note on a column whose dates have several forms, or one that hangs on the order of day and month."""
    if not facts.orders:
        return ""
    order = facts.orders[0].replace("_", " ")
    if facts.years_first:
        forms = f"{facts.years_first:,} with the year and others with the {order}"
        return f"column {name!r} holds dates in two forms: {forms}"
    return f"column {name!r} holds dates with the {order}" if facts.orders[0] != DAY_FIRST else ""


def as_numbers(name: str, texts: Sequence[str]) -> str:
    """The advice for texts that a reader would take for numbers; empty where they are none."""
    dressed = [text for text in texts if is_dressed_number(text)]
    if not dressed or sum(map(is_like_number, texts)) < STRAY_SHARE * len(texts):
        return ""
    marks = guess_marks([texts])
    options = [f"data.{key}={word}" for key, word in marks.as_options.items()]
    if has_unit(dressed[0]):
        options.append(column_type(name, "number"))
    in_csv = " (of a CSV file)" if marks.as_options else ""
    return f"{' '.join(options)} reads them as numbers{in_csv}" if options else "write them as plain numbers"


def text_note(name: str, categories: Collection[str]) -> str:
    """The note on a column of categories that a reader would take for numbers; empty where there is nothing to say."""
    texts = sorted(text for text in categories if text != MISSING)
    if not texts:
        return ""
    as_number = column_type(name, "number")
    if any(map(is_code, texts)) and all(map(str.isdecimal, texts)):
        return f"column {name!r} has leading zeros ({next(filter(is_code, texts))}): categories; {as_number} if not"
    if advice := as_numbers(name, texts):
        dressed = next(filter(is_dressed_number, texts))
        return f"column {name!r} holds texts such as {dressed!r}: categories; {advice}"
    if len(others := [text for text in texts if not is_like_number(text)]) == 1 < len(texts) - 1:
        advice = f"{as_number} {setting('data.missing', others)} if that means missing"
        return f"column {name!r} holds numbers and {others[0]!r}: categories; {advice}"
    return ""
