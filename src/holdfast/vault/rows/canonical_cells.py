"""Cells of a table in one form, whatever file they came from: a number where a cell is a number, else text.

    number   float64 little-endian, one NaN for all that is missing, no negative zero; a fraction is rounded to float32,
             so that a table that was stored as float32 is known again. Whole numbers are exact, and so are fractions
             where float32 has none (from 2**23 on) or next to none (below 2**-126). yes-or-no is 1 or 0.
    text     NFC with white space folded; a text that writes a number is that number; "", "NA", "null" and the like are
             missing. A whole number that no float64 holds is the text of its digits.

One word of 16 bytes stands for a cell: the number and eight zero bytes, or the BLAKE2b-128 hash of the text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[Any]
Texts: TypeAlias = tuple[NDArray[Any], Sequence[str]]


class Mixed(NamedTuple):
    """Cells of which some are numbers and some are texts."""

    numbers: NDArray[np.float64]  # (n,) the numbers; what stands where a cell is a text does not count
    codes: NDArray[np.int64]  # (n,) which text a cell is, -1 where it is a number
    texts: Sequence[str]


Cells: TypeAlias = Numbers | Texts | Mixed

NAN = np.frombuffer(b"\x00\x00\x00\x00\x00\x00\xf8\x7f", "<f8")[0]
EXACT_INTEGER = 2**53
FRACTIONS_UP_TO = 2.0**23
LEAST_SINGLE = 2.0**-126
WORD_BYTES = 16
LONGEST_INTEGER = 400
IS_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
IS_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
# What pandas and others read as a missing value.
MISSING_TEXTS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null", "Null", "none", "?", "nil", "NIL"),
)
_MISSING = frozenset(MISSING_TEXTS)
TRUTH = {"true": 1.0, "false": 0.0}


def canonical_numbers(values: Numbers) -> NDArray[np.float64]:
    """Numbers of any shape in their one form."""
    numbers = values.astype("<f8") + 0.0
    if values.dtype == np.float64:
        size = np.abs(numbers)
        is_rounded = (numbers != np.rint(numbers)) & (size < FRACTIONS_UP_TO) & (size >= LEAST_SINGLE)
        np.copyto(numbers, np.where(is_rounded, numbers, 0.0).astype(np.float32), where=is_rounded)
    numbers[np.isnan(numbers)] = NAN
    return numbers


def is_numeric(cells: Cells) -> bool:
    """Tell whether cells are numbers alone, each of which a float64 holds."""
    if isinstance(cells, tuple) or cells.dtype.kind not in "biuf":
        return False
    if cells.dtype.kind in "bf" or cells.dtype.itemsize < 8 or not cells.size:
        return True
    return int(cells.max()) <= EXACT_INTEGER and int(cells.min()) >= -EXACT_INTEGER


def words_of(cells: Cells) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(n, 16) the words of a column's cells, and (n,) which of them are texts.

    Args:
        cells: (n,) numbers; (n,) codes, -1 where missing, and the texts they stand for; `Mixed`; or (n,) objects.
    """
    if is_numeric(cells):
        words = np.zeros((len(cells), WORD_BYTES), np.uint8)
        words[:, :8] = canonical_numbers(np.asarray(cells)).view(np.uint8).reshape(-1, 8)
        return words, np.zeros(len(cells), bool)
    if isinstance(cells, Mixed):
        is_text = cells.codes >= 0
        words, is_word = words_of(np.where(is_text, np.nan, cells.numbers))
        words[is_text], is_word[is_text] = words_of((cells.codes[is_text], cells.texts))
        return words, is_word
    if isinstance(cells, tuple):
        codes, texts = cells
    else:  # objects, or long integers: each kind of value once
        written = np.array(["" if value is None else str(value) for value in cells.tolist()], object)
        different, codes = np.unique(written, return_inverse=True)
        texts = different.tolist()
    used, place = np.unique(codes, return_inverse=True)
    pairs = [_word_of("" if code < 0 else texts[code]) for code in used.tolist()]
    words = np.frombuffer(b"".join(word for word, _ in pairs), np.uint8).reshape(-1, WORD_BYTES)
    return words[place], np.array([is_text for _, is_text in pairs], bool)[place]


@lru_cache(maxsize=2**16)
def _word_of(text: str) -> tuple[bytes, bool]:
    """The word of a text, and whether it is one and not a number."""
    folded = " ".join(unicodedata.normalize("NFC", text).split())
    number = _number_in(folded)
    if number is not None:
        return canonical_numbers(np.array([number])).tobytes() + bytes(WORD_BYTES - 8), False
    if IS_INTEGER.fullmatch(folded) and len(folded) <= LONGEST_INTEGER:
        folded = str(int(folded))
    content = folded.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=WORD_BYTES, person=b"holdfast text 1").digest(), True


def _number_in(text: str) -> float | None:
    if text in _MISSING:
        return float("nan")
    if text.lower() in TRUTH:
        return TRUTH[text.lower()]
    if not IS_NUMBER.fullmatch(text):
        return None
    number = float(text)
    if not np.isfinite(number):
        return None
    if abs(number) >= EXACT_INTEGER and IS_INTEGER.fullmatch(text) and int(number) != int(text):
        return None
    return number
