"""The cells of one column, some rows at a time, whatever file they come from: as numbers, as texts, or as they are.

A raw cell is what reading gives without any setting of a view: a typed value where the format knows types, a text where
it does not. What a view asks of a column is answered here: `numbers_of` reads its cells as numbers, `texts_of` as
categories; `raw_cells` is what a row is known by, whatever the view.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.data.formats.numbers import AFTER, BEFORE, looks_written
from holdfast.data.tables.dates import YEAR_FIRST, days_in, typed_days
from holdfast.vault.rows.canonical_cells import MISSING_TEXTS, Cells, Mixed

Kind = Literal["number", "text", "date", "nested"]
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_NUMBER = re.compile(rf"{NUMBER}$")
_INFINITE = re.compile(r"[+-]?inf(inity)?$", re.IGNORECASE)
_IS_NUMBER = rf"^(?:{NUMBER}|[+-]?(?i:inf(inity)?))$"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY = rf"""(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d{{2}})
    |\d{{4}}-(?:0[1-9]|1[0-2])|\d{{8}}(?=T\d)
    |\d{{1,2}}[-/\ ]{_MONTH}[-/\ ](?:\d{{4}}|\d{{2}})|{_MONTH}\ \d{{1,2}},?\ \d{{4}}|{_MONTH}[-\ ]\d{{4}})"""
_DATE = re.compile(rf"{_DAY}(?:[T\ ]\d{{1,2}}:?\d{{2}}.*)?$", re.ASCII | re.IGNORECASE | re.VERBOSE)
_AMOUNT = rf"^\s*{BEFORE}((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?){AFTER}\s*$"
# Digits that would lose leading zeros as a number: a zip code, an account.
_CODE = r"^0(0+[1-9]|[1-9]\d)\d*$"
LONGEST_EXACT = 2.0**53
TRIED_ROWS = 32


@dataclass(frozen=True, eq=False)
class Numbers:
    """The cells of a column read as numbers.

    Attributes:
        values: (n,) float64, days since 1970 of dates, NaN where a cell is missing or no number.
        is_text: (n,) Cells that are texts and no numbers; None: there are none.
        is_date: (n,) Cells that are dates; None: there are none.
    """

    values: NDArray[np.float64]
    is_text: NDArray[np.bool_] | None = None
    is_date: NDArray[np.bool_] | None = None


def kind_of(type: Any) -> Kind:
    """The kind of cells that a type of pyarrow's stands for."""
    import pyarrow as pa

    if pa.types.is_dictionary(type):
        return kind_of(type.value_type)
    if pa.types.is_date(type) or pa.types.is_timestamp(type):
        return "date"
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type) or pa.types.is_null(type):
        return "number"
    is_text = pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)
    return "text" if is_text or pa.types.is_boolean(type) or pa.types.is_time(type) else "nested"


def numbers_of(array: Any, missing: Collection[str]) -> Numbers:
    """Read the cells of an array of pyarrow's as numbers.

    Args:
        array: Of any type that is not nested.
        missing: Texts that mean a missing cell; those that are numbers count among numbers, too.
    """

    kind = kind_of(array.type)
    if kind == "text":
        numbers = _numbers_in_texts(_as_strings(array), missing)
    elif kind == "date":
        days = typed_days(array)
        numbers = Numbers(days, is_date=~np.isnan(days))
    else:
        numbers = Numbers(_floats(array))
    absent = [float(text) for text in missing if _NUMBER.match(text)]
    if absent and numbers.is_date is None and (is_absent := np.isin(numbers.values, absent)).any():
        return Numbers(np.where(is_absent, np.nan, numbers.values), numbers.is_text)
    return numbers


def amounts_of(array: Any, missing: Collection[str]) -> Numbers:
    """Read the cells of an array of pyarrow's as numbers, those with a currency or a per cent sign without it."""
    from pyarrow import compute as pc

    if kind_of(array.type) == "text":
        array = pc.replace_substring_regex(_as_strings(array), _AMOUNT, r"\1\2\3")
    return numbers_of(array, missing)


def dates_of(array: Any, missing: Collection[str], order: str) -> Numbers:
    """Read the cells of an array of pyarrow's as days since 1970; what is no date counts as text.

    Args:
        array: Of any type that is not nested.
        missing: Texts that mean a missing cell.
        order: Of day and month in texts; empty: only dates with the year first are read.
    """
    numbers = numbers_of(array, missing)
    is_date = np.zeros(len(array), bool) if numbers.is_date is None else numbers.is_date
    days = np.where(is_date, numbers.values, np.nan)
    is_wrong = ~np.isnan(numbers.values) & ~is_date
    if numbers.is_text is not None:
        is_wrong |= numbers.is_text
        rows = np.flatnonzero(numbers.is_text)
        days[rows] = days_in(trimmed(array.take(rows)), order) if order else np.nan
    is_text = is_wrong & np.isnan(days)
    return Numbers(days, is_text if is_text.any() else None, ~np.isnan(days))


def trimmed(array: Any) -> Any:
    """Texts of an array of pyarrow's without white space around them."""
    from pyarrow import compute as pc

    return pc.utf8_trim_whitespace(_as_strings(array))


def texts_of(array: Any, missing: Collection[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Read the cells of an array of pyarrow's as categories: (n,) codes, -1 where missing, and their texts."""
    import pyarrow as pa

    array = _as_strings(array) if kind_of(array.type) == "text" else array.cast(pa.string())
    array = array.dictionary_encode()
    codes = array.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    texts = [canonical_text("" if text is None else str(text)) for text in array.dictionary.to_pylist()]
    is_missing = np.array([text in missing for text in texts] + [True])
    if is_missing[:-1].any():
        codes = np.where(is_missing[codes], -1, codes)
    return codes, tuple(texts)


def raw_cells(array: Any) -> Cells:
    """The cells of an array of pyarrow's as `vault.rows.canonical_cells` takes them: what a row is known by."""
    import pyarrow as pa

    kind = kind_of(array.type)
    if kind == "number":
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        is_whole = pa.types.is_integer(array.type) and array.null_count == 0
        return array.to_numpy(zero_copy_only=False) if is_whole else _floats(array)
    if kind == "date":
        return typed_days(array)
    strings = _as_strings(array)
    numbers = _numbers_in_texts(strings, MISSING_TEXTS)
    is_text = np.zeros(len(strings), bool) if numbers.is_text is None else numbers.is_text.copy()
    is_text |= np.abs(numbers.values) >= LONGEST_EXACT  # its digits may say more than a float64 holds
    if not is_text.any():
        return numbers.values
    texts = strings.filter(pa.array(is_text)).dictionary_encode()
    where = np.full(len(strings), -1, np.int64)
    where[is_text] = texts.indices.to_numpy()
    return Mixed(numbers.values, where, texts.dictionary.to_pylist())


def as_number(text: str) -> float:
    """The number that a text spells; NaN where it spells none."""
    if _NUMBER.match(text):
        return float(text)
    return float(text) if _INFINITE.match(text) else float("nan")


def is_code(text: str) -> bool:
    """Tell whether a text of digits would lose its leading zeros as a number: a zip code, an account."""
    return re.match(_CODE, text, re.ASCII) is not None


def has_codes(array: Any) -> bool:
    """Tell whether an array of texts of pyarrow's holds digits with leading zeros."""
    from pyarrow import compute as pc

    return bool(pc.any(pc.match_substring_regex(_as_strings(array), _CODE)).as_py())


def are_digits(array: Any, missing: Collection[str]) -> bool:
    """Tell whether all texts of an array of pyarrow's that are not missing are digits alone."""
    import pyarrow as pa
    from pyarrow import compute as pc

    array = _as_strings(array)
    is_missing = pc.is_in(array, value_set=pa.array(sorted(missing), pa.string()))
    return pc.all(pc.or_(is_missing, pc.utf8_is_decimal(array))).as_py() is not False


def is_dressed_number(text: str) -> bool:
    """Tell whether a text is a number to a reader and none to a program: $1,200.50, 26.6%, 1 200 EUR, 3,14."""
    return looks_written(text) and not _NUMBER.match(text)


def is_like_number(text: str) -> bool:
    """Tell whether a reader would take a text for a number."""
    return looks_written(text) or _NUMBER.match(text) is not None


def looks_like_date(text: str) -> bool:
    """Tell whether a text is spelled like a date, in an order of day, month and year that need not be known."""
    return _DATE.match(text) is not None


def canonical_text(text: str) -> str:
    """A text without white space around it, in NFC (Unicode Annex 15); truth values in small letters."""
    stripped = unicodedata.normalize("NFC", text.strip())
    return stripped.lower() if stripped.lower() in ("true", "false") else stripped


def _as_strings(array: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array if pa.types.is_string(array.type) else array.cast(pa.string())


def _numbers_in_texts(array: Any, missing: Collection[str]) -> Numbers:
    """Each cell as a number, a date, or a text, whatever the others are."""
    import pyarrow as pa
    from pyarrow import compute as pc

    # A try that fails takes longer than one that succeeds: the first cells say which is worth it.
    start = [text.strip() for text in array[:TRIED_ROWS].to_pylist() if text is not None]
    with suppress(pa.ArrowInvalid):
        if all(np.isfinite(as_number(text)) for text in start):
            return Numbers(_floats(array))
    with suppress(pa.ArrowInvalid):
        if all(np.isfinite(as_number(text)) or text in missing for text in start):
            return Numbers(_floats(_present(array, missing)))
    encoded = array.dictionary_encode()  # of a column that repeats its texts, each of these is looked at once
    texts, places = _present(encoded.dictionary, missing), encoded.indices.fill_null(-1).to_numpy()
    is_number = pc.match_substring_regex(texts, _IS_NUMBER)
    values = np.append(_floats(pc.if_else(is_number, texts, None)), np.nan)
    rest = np.append(_as_mask(pc.and_(pc.invert(is_number), texts.is_valid())), False)
    values[rest] = days_in(texts.filter(pa.array(rest[:-1])), YEAR_FIRST)
    is_text, is_date = (rest & np.isnan(values))[places], (rest & ~np.isnan(values))[places]
    return Numbers(values[places], is_text if is_text.any() else None, is_date if is_date.any() else None)


def _present(array: Any, missing: Collection[str]) -> Any:
    """Texts without white space around them, null where they mean a missing cell."""
    import pyarrow as pa
    from pyarrow import compute as pc

    array = pc.utf8_trim_whitespace(array)
    return pc.if_else(pc.is_in(array, value_set=pa.array(sorted(missing), pa.string())), None, array)


def _as_mask(array: Any) -> NDArray[np.bool_]:
    return np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False), bool)


def _floats(array: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    is_text = pa.types.is_string(array.type)
    values = array.cast(pa.float64(), safe=is_text).to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float64)
