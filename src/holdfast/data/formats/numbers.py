"""Numbers as people write them: marks between thousands, a decimal comma, a currency or a per cent sign."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.data.arrow import pc

# Blanks, of which several are no white space to a regular expression: no-break, narrow no-break and thin.
_BLANK = "[ \u00a0\u202f\u2009]"
_UNIT = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|JPY|CNY|INR|kr)"
BEFORE = rf"([+-]?){_BLANK}?(?:{_UNIT}{_BLANK}?)?([+-]?)"
AFTER = rf"{_BLANK}?(?:%|{_UNIT})?"
THOUSANDS = {"none": "", "point": ".", "comma": ",", "space": " \u00a0\u202f\u2009", "apostrophe": "'\u2019"}
DECIMALS = {"point": ".", "comma": ","}
_ANY_MARK = "".join(THOUSANDS.values())
_WRITTEN = re.compile(
    rf"{BEFORE}(?P<whole>\d{{1,3}}(?:[{_ANY_MARK}]\d{{3}})+|\d*)(?P<part>[.,]\d+)?(?P<power>[eE][+-]?\d+)?{AFTER}$"
)
# A column counts where so many of its cells are numbers to a reader.
SHARE_OF_NUMBERS = 0.8


@dataclass(frozen=True)
class Marks:
    """The marks in the numbers of a file."""

    decimal: str = "."  # before the fraction: a point or a comma
    thousands: str = ""  # signs that may stand between thousands; empty: none
    either: str = ""  # a number that is read as a fraction and may be thousands; empty: there is none

    @property
    def as_options(self) -> dict[str, str]:
        """The settings that say so, by name; what need not be said is left out."""
        options = {} if self.decimal == "." else {"decimal": "comma"}
        words = [word for word, signs in THOUSANDS.items() if signs and set(signs) & set(self.thousands)]
        return options | ({"thousands": words[0]} if words else {})


def looks_written(text: str) -> bool:
    """Tell whether a reader would take a text for a number."""
    match = _WRITTEN.match(text)
    return match is not None and bool(match["whole"] or match["part"])


def has_unit(text: str) -> bool:
    """Tell whether a number has a currency or a per cent sign."""
    return re.search(rf"%|{_UNIT}", text) is not None


def guess_marks(columns: Iterable[Sequence[str]], *, decimal: str = "", in_commas: bool = False) -> Marks:
    """The marks in columns of texts, as far as they tell.

    1.234,56 and 1.234.567 tell of both marks, 3,14 of the decimal one. 1,234 may be either: it is read by what the
    other cells tell, and where none does, as a fraction, but in a file with commas between its cells, as thousands.

    `decimal` is the decimal mark where it is known; `in_commas` says that commas stand between the cells of the file.
    """
    decimals, thousands, either, example = set[str](), set[str](), set[str](), ""
    for column in columns:
        cells = [cell.strip() for cell in column if cell.strip()]
        matches = [match for cell in cells if looks_written(cell) and (match := _WRITTEN.match(cell))]
        if len(matches) < SHARE_OF_NUMBERS * len(cells):
            continue
        for match in matches:
            whole, part = match["whole"], match["part"] or ""
            signs = {sign for sign in whole if not sign.isdigit()}
            if not signs or part or match["power"]:
                decimals |= set(part[:1])
                thousands |= signs
            elif signs <= {".", ","} and len(whole) <= len("123,456"):
                (decimals if whole.startswith("0") else either).update(signs)
                example = match[0]
            else:
                thousands |= signs
    if not decimal:
        decimal = _decimal_of(decimals, thousands, either, in_commas=in_commas)
    is_open = either == {decimal} and not decimals and not thousands
    return Marks(decimal, "".join(sorted((thousands | either) - decimals - {decimal})), example if is_open else "")


def plain_numbers(texts: Any, marks: Marks) -> Any:
    """An array of texts of pyarrow's in which numbers have a decimal point and nothing between thousands."""
    # All signs of a kind: a file may have two sorts of blanks.
    signs = "".join(kin for kin in THOUSANDS.values() if set(kin) & set(marks.thousands))
    if signs and pc.any(pc.match_substring_regex(texts, f"[{signs}]")).as_py():
        decimal = re.escape(marks.decimal)
        pattern = rf"^\s*{BEFORE}[1-9]\d{{0,2}}(?:[{signs}]\d{{3}})+(?:{decimal}\d+)?{AFTER}\s*$"
        has_marks = pc.match_substring_regex(texts, pattern)
        texts = pc.if_else(has_marks, pc.replace_substring_regex(texts, rf"[{signs}](\d{{3}})", r"\1"), texts)
    if marks.decimal == "," and pc.any(pc.match_substring(texts, ",")).as_py():
        if pc.all(pc.match_substring_regex(texts, r"^[+-]?\d*,\d+$")).as_py():  # in a third of the time
            return pc.replace_substring(texts, ",", ".")
        pattern = rf"^(\s*{BEFORE}\d*),(\d+(?:[eE][+-]?\d+)?{AFTER}\s*)$"
        texts = pc.replace_substring_regex(texts, pattern, r"\1.\4")
    return texts


def _decimal_of(decimals: set[str], thousands: set[str], either: set[str], *, in_commas: bool) -> str:
    if decimals:
        return "." if "." in decimals else ","
    if "." in thousands:
        return ","
    return "," if either == {","} and not in_commas and "," not in thousands else "."
