"""From raw cells to numbers: what a view is fitted to, and what it makes of rows that it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from holdfast.core.errors import InputError
from holdfast.data.columns import UNSEEN, Column
from holdfast.data.fit_view import fit_view
from holdfast.data.rows import Rows
from holdfast.data.sources.call import as_rows
from holdfast.data.views import TableView, table_view_from_dict

VIEW = TableView((Column("size", "number"), Column("color", "category", ("", "blue", "red"))), "float32")


def view_of(data: Any, chosen: Any = None) -> tuple[TableView, Any, list[str]]:
    rows = data if isinstance(data, Rows) else as_rows(data)
    assert rows.table is not None
    assert rows.settings is not None
    return fit_view(rows.table, rows.settings, np.ones(len(rows), bool) if chosen is None else chosen)


def frame(**columns: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(columns)


def test_new_rows() -> None:
    batch = pa.record_batch({"color": ["red", "green", None, " blue "], "size": ["1.5", " ", "NA", "-2e3"]})
    viewed = VIEW.rows(batch)
    np.testing.assert_array_equal(viewed.x, np.array([[1.5, 2], [np.nan, UNSEEN], [np.nan, 0], [-2000, 1]], np.float32))
    assert viewed.x.dtype == np.float32
    assert viewed.is_unreadable is None
    assert viewed.unknown.tolist() == [0, 1]


def test_what_cannot_be_read_is_missing_and_marked() -> None:
    batch = pa.record_batch({"size": ["big", "inf", "1e39", "7"], "color": ["red"] * 4})
    viewed = VIEW.rows(batch)
    assert viewed.is_unreadable is not None
    assert viewed.is_unreadable.tolist() == [[True, False]] * 3 + [[False, False]]
    assert np.isnan(viewed.x[:3, 0]).all()
    assert viewed.x[3].tolist() == [7, 2]
    nested = VIEW.rows(pa.record_batch({"size": [1.0], "color": [["red"]]}))
    assert nested.is_unreadable is not None
    assert (nested.is_unreadable.tolist(), nested.x.tolist()) == ([[False, True]], [[1, 0]])


def test_a_column_that_is_not_there_is_missing_in_every_row() -> None:
    np.testing.assert_array_equal(VIEW.rows(pa.record_batch({"other": [1, 2]})).x, [[np.nan, 0]] * 2)


def test_a_category_that_was_never_missing_is_unknown_where_it_is() -> None:
    view = TableView((Column("c", "category", ("a", "b")),), "float32")
    assert view.rows(pa.record_batch({"c": ["b", None, "a"]})).x[:, 0].tolist() == [1, UNSEEN, 0]


def test_it_is_the_same_after_json() -> None:
    view = TableView(VIEW.columns, "float64", (*VIEW.missing, "-9", "gone"))
    plain = json.loads(json.dumps(view.as_dict()))
    assert plain["missing"] == ["-9", "gone"]
    assert table_view_from_dict(plain) == view
    batch = pa.record_batch({"size": ["-9", "-9.0", "gone", "9"], "color": ["gone", "red", "-9", "red"]})
    np.testing.assert_array_equal(view.rows(batch).x, [[np.nan, 0], [np.nan, 2], [np.nan, 0], [9, 2]])
    with pytest.raises(ValueError, match="a table has no rows of 'int8'"):
        table_view_from_dict({**plain, "dtype": "int8"})


def test_it_is_fitted_to_some_rows_alone(home: Path) -> None:
    """The last two are test rows: their text, their town and their size decide nothing."""
    y = [0, 1] * 6
    rows = as_rows((frame(size=[*map(str, range(10)), "huge", "1e60"], town=[*"ababababab", "z", None], y=y), "y"))
    view, kept, _ = view_of(rows, np.arange(12) < 10)
    assert view == TableView((Column("size", "number"), Column("town", "category", ("a", "b"))), "float32")
    assert (kept == (np.arange(12) < 10)).all()
    assert rows.table is not None
    (viewed,) = [view.rows(batch) for _, batch in rows.table.blocks()]
    assert viewed.is_unreadable is not None
    assert np.argwhere(viewed.is_unreadable).tolist() == [[10, 0], [11, 0]]
    with pytest.raises(InputError, match="column 'size': has a text among the numbers"):
        view_of(rows)


def test_types_that_are_asked_for(home: Path) -> None:
    columns = {"a": [1, 2] * 6, "when": ["2020-01-01", "2020-01-02"] * 6, "y": [0, 1] * 6}
    types = {"a": "category", "when": "number"}
    view, _, _ = view_of({"x": frame(**columns), "y": "y", "types": types})
    when = Column("when", "number", source="when", part="elapsed")
    assert view.columns == (Column("a", "category", ("1", "2")), when)
    assert view_of({"x": frame(**columns), "y": "y", "types": {"a": "drop", "when": "category"}})[0].columns == (
        Column("when", "category", ("2020-01-01", "2020-01-02")),
    )
    listed = ["a: drop", "when: category"]  # for names that are no keys on a command line
    assert view_of({"x": frame(**columns), "y": "y", "types": listed})[0].columns == (
        Column("when", "category", ("2020-01-01", "2020-01-02")),
    )


def test_dates_become_the_parts_that_vary(home: Path) -> None:
    days = ["31.12.2023 06:00", "2024-01-02 18:30", "1.1.2024"] * 4
    view, _, notes = view_of({"x": frame(**{"when": days, "when: year": [*range(12)], "y": [0, 1] * 6}), "y": "y"})
    assert table_view_from_dict(json.loads(json.dumps(view.as_dict()))) == view
    names = [column.name for column in view.columns]
    assert names[:3] == ["when: elapsed", "when: year (part)", "when: month"]
    assert names[3:] == ["when: weekday", "when: day of year", "when: hour", "when: year"]
    assert {(column.source, column.order) for column in view.columns[:6]} == {("when", "day_first")}
    viewed = view.rows(pa.record_batch({"when": [*days[:3], "soon", None], "when: year": [0, 1, 2, 3, 4]}))
    expected = [[19722.25, 2023, 12, 6, 365, 6], [19724 + 18.5 / 24, 2024, 1, 1, 2, 18.5], [19723, 2024, 1, 0, 1, 0]]
    np.testing.assert_allclose(viewed.x[:3, :6], expected)
    assert np.isnan(viewed.x[3:, :6]).all()
    assert viewed.is_unreadable is not None
    assert viewed.is_unreadable.any(axis=1).tolist() == [False, False, False, True, False]
    assert notes == ["column 'when' holds dates in two forms: 4 with the year and others with the day first"]


def test_texts_that_are_no_categories_are_left_out(home: Path) -> None:
    words = [f"the {i}th of many reviews that nobody reads" for i in range(6)] * 2
    columns = {"key": [f"k{i}" for i in range(12)], "review": words, "c": ["a", "b"] * 6, "y": [0, 1] * 6}
    view, _, notes = view_of({"x": frame(**columns), "y": "y"})
    assert [column.name for column in view.columns] == ["c"]
    assert notes == [
        "column 'key' has a text of its own in every row: left out; data.types.key=category keeps it",
        "column 'review' holds free text (8 words a row): left out; data.types.review=category keeps it",
    ]
    types = {"key": "category", "review": "category"}
    assert len(view_of({"x": frame(**columns), "y": "y", "types": types})[0].columns) == 3
    with pytest.raises(InputError, match=r"no column is left: 'key' has a text .* next: data\.types\.key=category"):
        view_of({"x": frame(key=columns["key"], y=columns["y"]), "y": "y"})


def test_rows_with_a_cell_that_cannot_be_read_are_left_out_on_request(home: Path) -> None:
    sizes = [*map(str, range(20)), "big", "inf", "-inf", "NA"]
    data = {"x": frame(size=sizes, b=[1, 2] * 12, y=[0, 1] * 12), "y": "y"}
    view, kept, notes = view_of({**data, "on_error": "skip"}, np.arange(24) != 22)
    assert np.flatnonzero(kept).tolist() == [*range(20), 23]
    assert notes == [
        "1 rows left out with a text among the numbers in column 'size'",
        "1 rows left out with an infinite value in column 'size'",
    ]
    assert [column.type for column in view.columns] == ["number", "number"]
