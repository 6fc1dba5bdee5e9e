"""The cells of one column, some rows at a time: numbers, texts or dates, whatever the format they were read from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.data.columns import MISSING

Kind = Literal["number", "text", "date", "nested"]
MISSING_TEXTS = (
    *("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "-NaN", "NULL", "Null", "null", "None", "none"),
    *("?", "nil", "NIL"),
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
_INFINITE = re.compile(r"[+-]?inf(inity)?$", re.IGNORECASE)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY = rf"""(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d{{2}})
    |\d{{4}}-(?:0[1-9]|1[0-2])|\d{{8}}(?=T\d)
    |\d{{1,2}}[-/\ ]{_MONTH}[-/\ ](?:\d{{4}}|\d{{2}})|{_MONTH}\ \d{{1,2}},?\ \d{{4}}|{_MONTH}[-\ ]\d{{4}})"""
_DATE = re.compile(rf"{_DAY}(?:[T\ ]\d{{1,2}}:?\d{{2}}.*)?$", re.ASCII | re.IGNORECASE | re.VERBOSE)
# A currency, digits in groups of three or not, a decimal comma or point, a per cent sign or a currency.
_CURRENCY = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|JPY|CNY|INR|kr)"
_DRESSED = re.compile(
    rf"[+-]?\s?(?:{_CURRENCY}\s?)?[+-]?(\d{{1,3}}([,.' \u00a0\u202f]\d{{3}})+|\d+)([.,]\d+)?\s?(?:%|{_CURRENCY})?$"
)
MIN_CODE_DIGITS = 3
DAY_US = 86_400_000_000


@dataclass(frozen=True, eq=False)
class Cells:
    """Some cells of one column.

    Attributes:
        kind: What they are.
        values: (n,) float64 numbers, or days since 1970 of dates, NaN where missing; codes of texts, -1 where missing.
        texts: What the codes stand for.
        exact: (n,) What a digest is taken of where `values` say less: long integers.
        stray: (n,) Which cells are texts among numbers; None: none is.
    """

    kind: Kind
    values: NDArray[Any]
    texts: tuple[str, ...] = ()
    exact: NDArray[Any] | None = None
    stray: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def of(self, rows: NDArray[np.bool_]) -> Cells:
        """Some of them."""
        exact = None if self.exact is None else self.exact[rows]
        return Cells(self.kind, self.values[rows], self.texts, exact)

    def canonical(self) -> Any:
        """As `identity.table_digests` wants them."""
        if self.kind == "text":
            return self.values, self.texts
        return self.values if self.exact is None else self.exact


class Vocabulary:
    """The texts of a column over all rows, in the order in which they turn up, with their counts.

    Attributes:
        texts: By code; the missing cell is "".
        counts: How many cells have each code.
        first: Where each text turned up first.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self.first: list[tuple[int, int]] = []
        self._code_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def codes(self, cells: Cells, place: tuple[int, int] = (0, 0)) -> NDArray[np.int64]:
        """(n,) The codes of some text cells; new texts are added. `place` is the file and row of the first of them."""
        local = np.where(cells.values < 0, len(cells.texts), cells.values)
        used, first = np.unique(local, return_index=True)
        table = np.zeros(len(cells.texts) + 1, np.int64)
        for code, at in zip(used.tolist(), first.tolist(), strict=True):
            text = cells.texts[code] if code < len(cells.texts) else MISSING
            known = self._code_of.get(text)
            if known is None:
                known = self._code_of[text] = len(self.texts)
                self.texts.append(text)
                self.first.append((place[0], place[1] + at))
            table[code] = known
        codes: NDArray[np.int64] = table[local]
        counts = np.bincount(codes, minlength=len(self.texts))
        counts[: len(self.counts)] += self.counts
        self.counts = counts
        return codes

    def ranks(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """The texts in order, and the place of every code among them."""
        order = sorted(range(len(self.texts)), key=self.texts.__getitem__)
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        return tuple(self.texts[code] for code in order), ranks


def kind_of(type: Any) -> Kind:
    """What a type of pyarrow's is to us."""
    import pyarrow as pa

    if pa.types.is_dictionary(type):
        return kind_of(type.value_type)
    if pa.types.is_date(type) or pa.types.is_timestamp(type):
        return "date"
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type) or pa.types.is_null(type):
        return "number"
    is_text = pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)
    return "text" if is_text or pa.types.is_boolean(type) or pa.types.is_time(type) else "nested"


def cells_of(array: Any, missing: Collection[str]) -> Cells:
    """The cells of an array of pyarrow's.

    Args:
        array: Of any type that is not nested.
        missing: Texts that mean a missing cell; those that are numbers count among numbers, too.
    """
    import pyarrow as pa

    kind = kind_of(array.type)
    if kind == "text":
        return _text_cells(array, missing)
    if kind == "date":
        days = array.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        return Cells(kind, _floats(days) / DAY_US)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    is_whole = pa.types.is_integer(array.type) and array.null_count == 0
    exact = array.to_numpy(zero_copy_only=False) if is_whole else None
    values = _floats(array)
    absent = [float(text) for text in missing if _NUMBER.match(text)]
    if absent and np.isin(values, absent).any():
        values, exact = np.where(np.isin(values, absent), np.nan, values), None
    return Cells("number", values, exact=exact)


def as_number(text: str) -> float:
    """The number that a text spells; NaN where it spells none."""
    if _NUMBER.match(text):
        return float(text)
    return float(text) if _INFINITE.match(text) else float("nan")


def is_sentinel(text: str) -> bool:
    """Tell a word for a missing cell that is a number, such as -9."""
    return bool(_NUMBER.match(text))


def is_code(text: str) -> bool:
    """Whether a text of digits would lose its leading zeros as a number: a zip code, an account."""
    return len(text) >= MIN_CODE_DIGITS and text[0] == "0" and text.isdecimal() and text.strip("0") != ""


def are_codes(texts: Collection[str]) -> bool:
    """Whether texts are all digits, and some have leading zeros."""
    return any(map(is_code, texts)) and all(map(str.isdecimal, texts))


def is_dressed_number(text: str) -> bool:
    """Whether a text is a number to a reader and none to a program: $1,200.50, 26.6%, 1 200 EUR, 3,14."""
    return bool(_DRESSED.match(text)) and not _NUMBER.match(text)


def is_like_number(text: str) -> bool:
    """Whether a reader would take a text for a number."""
    return bool(_DRESSED.match(text) or _NUMBER.match(text))


def numbers_of(cells: Cells) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What text cells spell as numbers, NaN where missing; and which of them spell none."""
    table = np.array([*map(as_number, cells.texts), np.nan])
    values = table[cells.values]
    return values, np.isnan(values) & (cells.values >= 0)


def looks_like_date(text: str) -> bool:
    """Whether a text is spelled like a date, in an order of day, month and year that need not be known."""
    return _DATE.match(text) is not None


def canonical_text(text: str) -> str:
    """A text without white space around it, in NFC (Unicode Annex 15); truth values in small letters."""
    stripped = unicodedata.normalize("NFC", text.strip())
    return stripped.lower() if stripped.lower() in ("true", "false") else stripped


def _text_cells(array: Any, missing: Collection[str]) -> Cells:
    import pyarrow as pa

    if not pa.types.is_dictionary(array.type):
        if not pa.types.is_string(array.type):
            array = array.cast(pa.string())
        array = array.dictionary_encode()
    codes = array.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    texts = [canonical_text("" if text is None else str(text)) for text in array.dictionary.to_pylist()]
    is_missing = np.array([text in missing for text in texts] + [True])
    if is_missing[:-1].any():
        codes = np.where(is_missing[codes], -1, codes)
    return Cells("text", codes, tuple(texts))


def _floats(array: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float64)
