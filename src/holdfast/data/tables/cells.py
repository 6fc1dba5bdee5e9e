"""The cells of one column, some rows at a time, whatever file they come from: as numbers, as texts, or as they are.

A raw cell is what reading gives without any setting of a view: a typed value where the format knows types, a text where
it does not. What a view asks of a column is answered here: `numbers_of` reads its cells as numbers, `texts_of` as
categories; `raw_cells` is what a row is known by, whatever the view. An `array` is one of pyarrow's.
"""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.data.arrow import pa, pc
from holdfast.data.formats.numbers import AFTER, BEFORE, looks_written
from holdfast.data.tables.dates import MONTH, YEAR_FIRST, as_mask, days_in, typed_days
from holdfast.vault.rows.canonical_cells import MISSING_TEXTS, Cells, Mixed

Kind = Literal["number", "text", "date", "nested"]
Mask = NDArray[np.bool_]
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_NUMBER = re.compile(rf"{NUMBER}$")
_INFINITE = re.compile(r"[+-]?inf(inity)?$", re.IGNORECASE)
_IS_NUMBER = rf"^(?:{NUMBER}|[+-]?(?i:inf(inity)?))$"
_DATE = re.compile(
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|\d{4}-(?:0[1-9]|1[0-2])|\d{8}(?=T\d)"
    rf"|\d{{1,2}}\.?[-/ ]{MONTH}[-/ ]\d{{2}}|{MONTH}[- ]\d{{4}})(?:[T ]\d{{1,2}}:?\d{{2}}.*)?$",
    re.IGNORECASE,
)
_AMOUNT = rf"^\s*{BEFORE}((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?){AFTER}\s*$"
# Digits that would lose leading zeros as a number: a zip code, an account.
_CODE = r"^0(0+[1-9]|[1-9]\d)\d*$"
LONGEST_EXACT = 2.0**53
TRIED_ROWS = 8


@dataclass(frozen=True, eq=False)
class Numbers:
    """The cells of a column read as numbers."""

    values: NDArray[np.float64]  # (n,) float64, days since 1970 of dates, NaN where a cell is missing or no number
    is_text: Mask  # (n,) cells that are texts and no numbers
    is_date: Mask  # (n,) cells that are dates


def kind_of(type: Any) -> Kind:
    """The kind of cells that a type of pyarrow's stands for."""
    types = pa.types

    if types.is_dictionary(type):
        return kind_of(type.value_type)
    if types.is_date(type) or types.is_timestamp(type):
        return "date"
    if types.is_integer(type) or types.is_floating(type) or types.is_decimal(type) or types.is_null(type):
        return "number"
    is_text = types.is_string(type) or types.is_large_string(type) or types.is_string_view(type)
    return "text" if is_text or types.is_boolean(type) or types.is_time(type) else "nested"


def numbers_of(array: Any, missing: tuple[str, ...]) -> Numbers:
    """Read cells as numbers. Texts that mean a missing cell and are numbers count among numbers, too."""
    kind = kind_of(array.type)
    if kind == "text":
        numbers = _numbers_in_texts(_as_strings(array), missing)
    elif kind == "date":
        days = typed_days(array)
        return Numbers(days, np.zeros(len(days), bool), ~np.isnan(days))
    else:
        numbers = _only_numbers(_floats(array))
    absent = _numbers_among(missing)
    if absent and not numbers.is_date.any() and (is_absent := np.isin(numbers.values, absent)).any():
        return replace(numbers, values=np.where(is_absent, np.nan, numbers.values))
    return numbers


def amounts_of(array: Any, missing: tuple[str, ...]) -> Numbers:
    """Read cells as numbers, those with a currency or a per cent sign without it."""
    if kind_of(array.type) == "text":
        array = pc.replace_substring_regex(_as_strings(array), _AMOUNT, r"\1\2\3")
    return numbers_of(array, missing)


def dates_of(array: Any, missing: tuple[str, ...], order: str) -> Numbers:
    """Read cells that are not nested as days since 1970; what is no date counts as text.

    Without an `order` of day and month only dates with the year first are read in texts.
    """
    numbers = numbers_of(array, missing)
    days = np.where(numbers.is_date, numbers.values, np.nan)
    if order:
        days[numbers.is_text] = days_in(trimmed(array.take(np.flatnonzero(numbers.is_text))), order)
    is_date = ~np.isnan(days)
    return Numbers(days, (numbers.is_text | ~np.isnan(numbers.values)) & ~is_date, is_date)


def trimmed(array: Any) -> Any:
    """Texts without white space around them."""
    return pc.utf8_trim_whitespace(_as_strings(array))


def texts_of(array: Any, missing: tuple[str, ...]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Read cells as categories: (n,) codes, -1 where missing, and their texts."""
    array = _as_strings(array) if kind_of(array.type) == "text" else array.cast(pa.string())
    array = array.dictionary_encode()
    codes = array.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    texts = [canonical_text("" if text is None else str(text)) for text in array.dictionary.to_pylist()]
    is_missing = np.array([text in missing for text in texts] + [True])
    return np.where(is_missing[codes], -1, codes), tuple(texts)


def raw_cells(array: Any) -> Cells:
    """Cells as `vault.rows.canonical_cells` takes them: what a row is known by."""
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
    # The digits of a long number may say more than a float64 holds.
    is_text = numbers.is_text | (np.abs(numbers.values) >= LONGEST_EXACT)
    if not is_text.any():
        return numbers.values
    texts = strings.filter(pa.array(is_text)).dictionary_encode()
    where = np.full(len(strings), -1, np.int64)
    where[is_text] = texts.indices.to_numpy()
    return Mixed(numbers.values, where, texts.dictionary.to_pylist())


def plain_number(text: str) -> float:
    """The number that a text spells; NaN where it spells none, or is a code such as 01."""
    is_number = _NUMBER.match(text) or _INFINITE.match(text)
    return float(text) if is_number and not (text[0] == "0" and text.isdecimal() and len(text) > 1) else float("nan")


def is_code(text: str) -> bool:
    """Tell whether a text of digits would lose its leading zeros as a number: a zip code, an account."""
    return re.match(_CODE, text, re.ASCII) is not None


def has_codes(array: Any) -> bool:
    """Tell whether texts hold digits with leading zeros."""
    return bool(pc.any(pc.match_substring_regex(_as_strings(array), _CODE)).as_py())


def are_digits(array: Any, missing: tuple[str, ...]) -> bool:
    """Tell whether all texts that are not missing are digits alone."""
    array = _as_strings(array)
    is_missing = pc.is_in(array, value_set=_value_set(missing))
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
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array if pa.types.is_string(array.type) else array.cast(pa.string())


def _numbers_in_texts(array: Any, missing: tuple[str, ...]) -> Numbers:
    """Each cell as a number, a date, or a text, whatever the others are."""
    # A try that fails takes longer than one that succeeds: the first cells say which is worth it.
    start = [text.strip() for text in array[:TRIED_ROWS].to_pylist() if text is not None]
    with suppress(pa.ArrowInvalid):
        if all(map(_NUMBER.match, start)):
            return _only_numbers(_floats(array))
    with suppress(pa.ArrowInvalid):
        if all(_NUMBER.match(text) or text in missing for text in start):
            return _only_numbers(_floats(_present(array, missing)))
    encoded = array.dictionary_encode()  # of a column that repeats its texts, each of these is looked at once
    texts, places = _present(encoded.dictionary, missing), encoded.indices.fill_null(-1).to_numpy()
    is_number = pc.match_substring_regex(texts, _IS_NUMBER)
    values = np.append(_floats(pc.if_else(is_number, texts, None)), np.nan)
    rest = np.append(as_mask(pc.and_(pc.invert(is_number), texts.is_valid())), False)
    values[rest] = days_in(texts.filter(pa.array(rest[:-1])), YEAR_FIRST)
    return Numbers(values[places], (rest & np.isnan(values))[places], (rest & ~np.isnan(values))[places])


def _only_numbers(values: NDArray[np.float64]) -> Numbers:
    return Numbers(values, np.zeros(len(values), bool), np.zeros(len(values), bool))


@lru_cache
def _numbers_among(missing: tuple[str, ...]) -> list[float]:
    return [float(text) for text in missing if _NUMBER.match(text)]


@lru_cache
def _value_set(missing: tuple[str, ...]) -> Any:
    return pa.array(missing, pa.string())


def _present(array: Any, missing: tuple[str, ...]) -> Any:
    """Texts without white space around them, null where they mean a missing cell."""
    array = pc.utf8_trim_whitespace(array)
    return pc.if_else(pc.is_in(array, value_set=_value_set(missing)), None, array)


def _floats(array: Any) -> NDArray[np.float64]:
    is_text = pa.types.is_string(array.type)
    return np.asarray(array.cast(pa.float64(), safe=is_text).to_numpy(zero_copy_only=False), np.float64)
