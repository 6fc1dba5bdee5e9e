"""Marks in numbers: what columns of texts tell of them, and numbers written plainly."""

from __future__ import annotations

import pyarrow as pa
import pytest

from holdfast.data.formats.numbers import Marks, guess_marks, looks_written, plain_numbers


@pytest.mark.parametrize(
    ("columns", "in_commas", "decimal", "thousands", "plain"),
    [
        ([["1.234,56", "7,5", "100"]], False, ",", ".", ["1234.56", "7.5", "100"]),
        ([["1.234.567", "12"]], False, ",", ".", ["1234567", "12"]),
        ([["1.234", "999"], ["3,5"]], False, ",", ".", ["1234", "999", "3.5"]),
        ([["3.14"], ["1,234"]], True, ".", ",", ["3.14", "1234"]),
        ([["1,234", "2,345"]], False, ",", "", ["1.234", "2.345"]),
        ([["1,234", "2,345"]], True, ".", ",", ["1234", "2345"]),
        ([["0.123", "12.500"]], False, ".", "", ["0.123", "12.500"]),
        ([["1\u202f234,5", "1\u00a0234 567,5 €"]], False, ",", "\u00a0\u202f ", ["1234.5", "1234567.5 €"]),
        ([["1'234.50", "-$3"]], False, ".", "'", ["1234.50", "-$3"]),
        ([["3,14"], ["2.7"]], False, ".", "", ["3,14", "2.7"]),
        ([["a", "b", "1,5"], ["01.01.2024"]], False, ".", "", ["a", "b", "1,5", "01.01.2024"]),
    ],
)
def test_marks(columns: list[list[str]], in_commas: bool, decimal: str, thousands: str, plain: list[str]) -> None:
    marks = guess_marks(columns, in_commas=in_commas)
    assert (marks.decimal, set(marks.thousands)) == (decimal, set(thousands))
    texts = [text for column in columns for text in column]
    assert plain_numbers(pa.array(texts), marks).to_pylist() == plain


def test_what_may_be_either_is_named() -> None:
    assert guess_marks([["83.000", "1.500"]]) == Marks(".", "", "1.500")
    assert guess_marks([["83.000", "1.5"]]).either == ""


@pytest.mark.parametrize("text", ["", "-", "EUR", "1 2", "1.2.3", "12.2024", "1,2,3"][:5] + ["1,2,3"])
def test_what_is_no_number(text: str) -> None:
    assert not looks_written(text)
