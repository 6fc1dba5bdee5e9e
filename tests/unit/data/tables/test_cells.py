from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from holdfast.data.tables.cells import MISSING_TEXTS, numbers_of, raw_cells, texts_of
from holdfast.vault.rows.canonical_cells import words_of

DAY = 19723.0  # 2024-01-01


def test_a_cell_is_what_it_is_whatever_its_neighbours_are() -> None:
    cells = [
        "2024-01-01",
        "7",
        " -1.5e3 ",
        "unknown",
        "",
        "2024-01-01T12:00:00Z",
        "2024-01-01 06:00:00.123456789",
        "inf",
    ]
    numbers = numbers_of(pa.array(cells), MISSING_TEXTS)
    assert numbers.is_text.tolist() == [cell == "unknown" for cell in cells]
    assert numbers.is_date.tolist() == [cell.startswith("2024") for cell in cells]
    assert numbers.values[[0, 1, 2, 5, 7]].tolist() == [DAY, 7.0, -1500.0, DAY + 0.5, np.inf]
    assert np.isnan(numbers.values[[3, 4]]).all()
    assert numbers.values[6] == pytest.approx(DAY + 0.25, abs=1e-5)
    for cell, value in zip(cells, numbers.values.tolist(), strict=True):
        alone = numbers_of(pa.array([cell]), MISSING_TEXTS).values[0]
        assert alone == value or (np.isnan(alone) and np.isnan(value))


def test_a_row_is_known_by_a_cell_whatever_its_neighbours_are() -> None:
    for cell in ("2024-01-01", "?", "0.1", "north", "12345678901234567890"):
        alone = words_of(raw_cells(pa.array([cell])))[0]
        for other in ("north", "2024-02-30", "17", "none", "9007199254740993"):
            assert (words_of(raw_cells(pa.array([cell, other, cell])))[0][[0, 2]] == alone).all()
    assert (words_of(raw_cells(pa.array(["?"])))[0] == words_of(raw_cells(pa.array([""])))[0]).all()


def test_a_day_that_is_none_is_a_text() -> None:
    numbers = numbers_of(pa.array(["2024-02-30", "2024-02-29"]), ())
    assert numbers.is_text.tolist() == [True, False]


def test_a_column_of_few_texts_is_read_by_its_texts() -> None:
    array = pa.array(["1", None, "x", "2024-01-01"] * 1000)
    numbers = numbers_of(array, ())
    assert numbers.is_text.sum() == 1000
    assert np.nansum(numbers.values) == 1000 * (1 + DAY)


def test_texts() -> None:
    codes, texts = texts_of(pa.array([" a ", "NA", "TRUE", "a"]), ("NA",))
    assert [texts[code] if code >= 0 else None for code in codes.tolist()] == ["a", None, "true", "a"]
