"""Dates as people write them, and what a model is given of a date.

A date that begins with its year, or names its month in English, German or French, is read wherever it stands. Of
others, 01/02/2024, the order of day and month is a property of the column: the one in which all its dates are dates.
Days are counted from 1970-01-01 in UTC; a date without a zone is taken as UTC.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.arrow import pa, pc

DAY_US = 86_400_000_000
YEAR_FIRST, DAY_FIRST, MONTH_FIRST = "year_first", "day_first", "month_first"
_CLOCK = (
    r"(?:[T ,]+(?P<hour>\d{1,2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?)?"
    r" ?(?P<half>[AaPp][Mm])? ?(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?$"
)
_DAY, _MONTH, _YEAR = r"(?P<day>\d{1,2})", r"(?P<month>\d{1,2})", r"(?P<year>\d{4}|\d{2})"
_PATTERNS = {
    YEAR_FIRST: rf"^(?P<year>\d{{4}})[-/]{_MONTH}[-/]{_DAY}{_CLOCK}",
    DAY_FIRST: rf"^{_DAY}[-/.]{_MONTH}[-/.]{_YEAR}{_CLOCK}",
    MONTH_FIRST: rf"^{_MONTH}[-/]{_DAY}[-/]{_YEAR}{_CLOCK}",
}
# Texts that may be dates in one of the last two orders.
MAY_BE_DATE = r"^\d{1,2}[-/.]\d{1,2}[-/.]\d{2}"
_MONTHS = (
    "jan(?:uar|uary|v|vier)?|jänner",
    "feb(?:ruar|ruary)?|févr?(?:ier)?",
    "mar(?:ch|s)?|märz?|mrz",
    "apr(?:il)?|avr(?:il)?",
    "may|mai",
    "june?|juni|juin",
    "july?|juli|juil(?:let)?",
    "aug(?:ust)?|août",
    "sept?(?:ember|embre)?",
    "o[ck]t(?:ober|obre)?",
    "nov(?:ember|embre)?",
    "de[cz](?:ember)?|déc(?:embre)?",
)
MONTH = rf"(?:{'|'.join(_MONTHS)})\.?"
_NAMED_DAY = r"(\d{1,2})(?:\.|st|nd|rd|th|er)?"
# A two-digit year is one from 1969 to 2068, as in POSIX.
FIRST_SHORT_YEAR = 69
ELAPSED = "elapsed"
PARTS = (ELAPSED, "year", "month", "weekday", "day of year", "hour")


def days_in(texts: Any, order: str) -> NDArray[np.float64]:
    """(n,) The days since 1970 of an array of texts of pyarrow's that are dates in an order; NaN of others."""
    if order == YEAR_FIRST:
        with suppress(pa.ArrowInvalid):  # where all are plain ISO, in a twentieth of the time
            return typed_days(texts.cast(pa.timestamp("us")))
    if not pc.any(pc.match_substring_regex(texts, r"\d")).as_py():
        return np.full(len(texts), np.nan)
    encoded = texts.dictionary_encode()  # dates repeat: each is looked at once
    places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    days: NDArray[np.float64] = np.append(_days_in(encoded.dictionary, order), np.nan)[places]
    return days


def _days_in(texts: Any, order: str) -> NDArray[np.float64]:
    texts = _with_numbers(texts) if order == YEAR_FIRST else texts
    fields = pc.extract_regex(texts, pattern=_PATTERNS[order])
    is_date = as_mask(fields.is_valid())
    if not is_date.any():
        return np.full(len(texts), np.nan)
    number = {name: _numbers(pc.struct_field(fields, name)) for name in ("year", "month", "day", "hour", "minute")}
    second = _numbers(pc.struct_field(fields, "second"))
    fraction = pc.utf8_rpad(pc.utf8_slice_codeunits(pc.struct_field(fields, "fraction"), 0, 6), 6, "0")
    half = pc.utf8_lower(pc.struct_field(fields, "half"))
    year, month, day, hour, minute = number.values()
    year = np.where(year >= 100, year, year + np.where(year < FIRST_SHORT_YEAR, 2000, 1900))
    has_half = as_mask(pc.not_equal(half, ""))
    hour = np.where(has_half, hour % 12 + 12 * as_mask(pc.equal(half, "pm")), hour)
    first = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    date = first.astype("datetime64[D]") + (day - 1)
    is_date &= (month >= 1) & (month <= 12) & (date.astype("datetime64[M]") == first)
    is_date &= (hour < 24) & (minute < 60) & (second < 60)
    seconds = (hour * 60 + minute) * 60 + second - _zone_seconds(pc.struct_field(fields, "zone"))
    moments = date.astype(np.int64) * DAY_US + seconds * 1_000_000 + _numbers(fraction)
    return np.where(is_date, moments / DAY_US, np.nan)


def _with_numbers(texts: Any) -> Any:
    """Texts in which dates that name their month, 3 Jan 2024 or March 1st, 2024, begin with their year instead."""
    pattern = rf"(?i)^(?:{_NAMED_DAY}[-/ ]{MONTH}[-/ ]|{MONTH} {_NAMED_DAY},? )\d{{4}}"
    if not pc.any(pc.match_substring_regex(texts, pattern)).as_py():
        return texts
    for number, names in enumerate(_MONTHS, start=1):
        for form in (rf"{_NAMED_DAY}[-/ ](?:{names})\.?[-/ ]", rf"(?:{names})\.? {_NAMED_DAY},? "):
            texts = pc.replace_substring_regex(texts, rf"(?i)^{form}(\d{{4}})", rf"\2-{number}-\1")
    return texts


def typed_days(array: Any) -> NDArray[np.float64]:
    """(n,) The days since 1970 of an array of dates or timestamps of pyarrow's; NaN where there is none."""
    moments = array.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
    return np.asarray(moments.to_numpy(zero_copy_only=False), np.float64) / DAY_US


def part_of(days: NDArray[np.float64], part: str) -> NDArray[np.float64]:
    """(n,) One of `PARTS` of days since 1970, NaN where there is no day.

    "elapsed" is the days themselves; a weekday is 0 on Monday; the first day of a year is 1; an hour has a fraction.
    """
    if part == ELAPSED:
        return days
    is_date = np.isfinite(days)
    day = np.floor(np.where(is_date, days, 0.0))
    date = day.astype(np.int64).astype("datetime64[D]")
    months, years = date.astype("datetime64[M]"), date.astype("datetime64[Y]")
    values: NDArray[Any]
    if part == "year":
        values = years.astype(np.int64) + 1970
    elif part == "month":
        values = months.astype(np.int64) % 12 + 1
    elif part == "weekday":
        values = (date.astype(np.int64) + 3) % 7
    elif part == "day of year":
        values = (date - years.astype("datetime64[D]")).astype(np.int64) + 1
    else:
        values = np.round((np.where(is_date, days, 0.0) - day) * 86_400) / 3600
    return np.where(is_date, values, np.nan)


def _numbers(texts: Any) -> NDArray[np.int64]:
    """(n,) Whole numbers of texts of digits; 0 where there are none."""
    digits = pc.if_else(pc.equal(texts, ""), "0", texts)
    return np.asarray(digits.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def _zone_seconds(zones: Any) -> NDArray[np.int64]:
    """(n,) Seconds east of UTC of texts such as +02:00, Z or nothing."""
    digits = pc.replace_substring_regex(zones, "[Z:]", "")
    hours, minutes = (pc.utf8_slice_codeunits(digits, start, start + 2) for start in (1, 3))
    sign = np.where(as_mask(pc.starts_with(digits, "-")), -1, 1)
    return np.asarray(sign * (_numbers(hours) * 60 + _numbers(minutes)) * 60, np.int64)


def as_mask(array: Any) -> NDArray[np.bool_]:
    """(n,) An array of truth values of pyarrow's; False where there is none."""
    return np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False), bool)
