"""The view of a table: which columns a run sees, as what, and the numbers that raw cells become.

Types and categories come from train and val rows alone. A run's view stands in its record and its checkpoint; new rows
and sealed rows are read by the same code. A number is stored as it is, missing as NaN; a category as its code, a text
that is no category of the view as `UNSEEN`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.columns import MISSING, UNSEEN, Column, column_from_dict
from holdfast.data.tables.cells import Numbers, amounts_of, as_number, dates_of, kind_of, numbers_of, texts_of
from holdfast.data.tables.dates import PARTS, part_of
from holdfast.vault.rows.canonical_cells import MISSING_TEXTS

AMOUNT = "amount"


@dataclass(frozen=True, eq=False)
class Viewed:
    """Some rows through a view."""

    x: NDArray[Any]  # (n, ...) rows as a run stores them
    # (n, columns) cells that the view cannot read, and that count as missing; None: it reads all
    is_unreadable: NDArray[np.bool_] | None = None
    # (columns,) how many cells are texts that are no category of the view
    unknown: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class TableView:
    """The columns of a table as a run sees them."""

    columns: tuple[Column, ...]  # names, types and categories, in the order of the source
    dtype: str  # "float32" or "float64"
    missing: tuple[str, ...] = MISSING_TEXTS  # texts that mean a missing cell
    # how the source writes numbers (`TableFile.reading`), for new files of its format
    reading: Mapping[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return (len(self.columns),)

    def as_dict(self) -> dict[str, Any]:
        """The view as JSON; `table_view_from_dict` is the inverse."""
        more = [text for text in self.missing if text not in MISSING_TEXTS]
        return {
            "form": "table",
            "columns": [column.as_dict() for column in self.columns],
            "dtype": self.dtype,
            "missing": more,
            **({"reading": dict(self.reading)} if self.reading else {}),
        }

    def rows(self, batch: Any) -> Viewed:
        """Rows of a record batch of pyarrow's; a column that it lacks is missing in every row."""
        return self.of_arrays({name: batch.column(name) for name in batch.schema.names}, batch.num_rows)

    def of_arrays(self, arrays: Mapping[str, Any], num_rows: int) -> Viewed:
        """Rows of arrays of pyarrow's by column."""
        x = np.full((num_rows, len(self.columns)), np.nan, self.dtype)
        is_unreadable = np.zeros(x.shape, bool)
        unknown = np.zeros(len(self.columns), np.int64)
        numbers: dict[str, Numbers] = {}  # several columns are taken from one column of dates
        for index, column in enumerate(self.columns):
            array = arrays.get(column.origin)
            if array is not None and kind_of(array.type) == "nested":
                array = None
            is_unreadable[:, index] = array is None
            if column.type == "category":
                x[:, index] = self._codes(column, array, num_rows)
                unknown[index] = 0 if array is None else int((x[:, index] == UNSEEN).sum())
            elif array is not None:
                if column.origin not in numbers:
                    numbers[column.origin] = self.cells(column, array)
                x[:, index], is_unreadable[:, index] = self._numbers(column, numbers[column.origin])
        return Viewed(x, is_unreadable if is_unreadable.any() else None, unknown)

    @cached_property
    def _code_of(self) -> dict[str, dict[str | float, int]]:
        """The codes of texts by column; those of numbers that are spelled in one way, too: 1.0 is 1, but 01 is not."""
        code_of: dict[str, dict[str | float, int]] = {}
        for column in self.columns:
            numbers = [_plain_number(text) for text in column.categories]
            spellings = Counter(numbers)
            code_of[column.name] = {n: code for code, n in enumerate(numbers) if spellings[n] == 1}
            code_of[column.name] |= {text: code for code, text in enumerate(column.categories)}
        return code_of

    def cells(self, column: Column, array: Any) -> Numbers:
        """The cells of an array of pyarrow's as a column of numbers, or of parts of dates, reads them."""
        if column.part in PARTS:
            return dates_of(array, self.missing, column.order)
        return (amounts_of if column.part == AMOUNT else numbers_of)(array, self.missing)

    def _numbers(self, column: Column, numbers: Numbers) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        values = part_of(numbers.values, column.part) if column.part in PARTS else numbers.values
        with np.errstate(over="ignore"):
            values = values.astype(self.dtype)
        is_unreadable = np.isinf(values)
        if numbers.is_text is not None:
            is_unreadable |= numbers.is_text
        values[is_unreadable] = np.nan
        return values, is_unreadable

    def _codes(self, column: Column, array: Any, num_rows: int) -> NDArray[np.float64]:
        codes, texts = (np.full(num_rows, -1), ()) if array is None else texts_of(array, self.missing)
        code_of = self._code_of[column.name]
        known = [code_of.get(text, code_of.get(_plain_number(text), UNSEEN)) for text in (*texts, MISSING)]
        view_codes: NDArray[np.float64] = np.array(known, float)[codes]
        return view_codes


def table_view_from_dict(plain: Mapping[str, Any]) -> TableView:
    """The inverse of `TableView.as_dict`.

    Raises:
        ValueError: The mapping describes no view of a table.
    """
    if plain.get("dtype") not in ("float32", "float64"):
        raise ValueError(f"a table has no rows of {plain.get('dtype')!r}")
    columns = tuple(column_from_dict(column) for column in plain["columns"])
    missing = (*MISSING_TEXTS, *map(str, plain.get("missing") or ()))
    return TableView(columns, str(plain["dtype"]), missing, dict(plain.get("reading") or {}))


def _plain_number(text: str) -> float:
    """The number that a text spells, NaN where it spells none, or is a code such as 01."""
    return float("nan") if text[:1] == "0" and text.isdecimal() and len(text) > 1 else as_number(text)
