"""Columns that are not what they seem: texts that are no categories, numbers that name rows, texts that are numbers."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from holdfast.core.advice import column_type, override
from holdfast.data.columns import MISSING
from holdfast.data.formats.numbers import guess_marks, has_unit
from holdfast.data.tables.cells import is_code, is_dressed_number, is_like_number
from holdfast.data.tables.column_types import STRAY_SHARE, ColumnFacts
from holdfast.data.tables.dates import DAY_FIRST

ID_WORDS = ("id", "index", "uuid", "guid", "rowid", "row")
# Texts of so many words on average, of which at least so large a share of the rows has one of its own, are prose.
WORDS_OF_PROSE = 4
SHARE_OF_PROSE = 0.5
TEXTS_LOOKED_AT = 10_000


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


def never_repeats(blocks: Iterable[NDArray[np.float64]]) -> bool:
    """Tell whether numbers are all distinct."""
    values = np.concatenate(list(blocks))
    return len(np.unique(values)) == len(values)


def date_note(name: str, facts: ColumnFacts) -> str:
    """The note on a column whose dates have several forms, or one that hangs on the order of day and month."""
    if not facts.orders:
        return ""
    order = facts.orders[0].replace("_", " ")
    if facts.years_first:
        return (
            f"column {name!r} holds dates in two forms: {facts.years_first:,} with the year and others with the {order}"
        )
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
        advice = f"{as_number} {override('data.missing', others)} if that means missing"
        return f"column {name!r} holds numbers and {others[0]!r}: categories; {advice}"
    return ""
