from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data.columns import Column
from holdfast.data.encrypted_spool import Spool
from holdfast.data.rows import Rows, check_rows
from holdfast.data.sources.embedded import breast_cancer, diabetes, digits

TABLE = Rows(
    x=np.ones((4, 2), np.float32),
    y=np.array([0, 1, 2, 0]),
    task="multiclass",
    kind="table",
    class_names=("a", "b", "c"),
    columns=(Column("size", "number"), Column("age", "number")),
)
COLUMNS = (Column("size", "number"), Column("age", "category", ("", "old", "young")))


def with_hole(x: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    x = x.copy()
    x[2, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": TABLE.x[:0], "y": TABLE.y[:0]}, "has no rows"),
        ({"x": TABLE.x[:3]}, "has 3 rows and 4 targets"),
        (
            {"x": with_hole(TABLE.x) * np.float32(np.inf)},
            "x has 7 values that are not finite or stand for no category; the first in row 0, column 'size' (inf)",
        ),
        ({"x": TABLE.x.astype(np.int64)}, "a table is int64 of shape (4, 2), expected float32 or float64"),
        ({"kind": "image"}, "images are float32 of shape (4, 2), expected uint8"),
        ({"columns": COLUMNS[:1]}, "x has 2 columns and `columns` 1"),
        ({"y": np.array([0, 1, 3, 0])}, "row 2 has class 3, expected 0 to 2"),
        ({"task": "binary"}, "a binary task has 3 class names"),
        ({"task": "ranking"}, "task 'ranking' is none of multiclass, binary"),
        ({"task": "regression"}, "targets of a regression task are int64 with 1 axes, expected float32 with 1"),
        ({"parts": np.array([0, 1, 2, 3], np.int8)}, "parts holds [0, 1, 2, 3], expected 0, 1 and 2"),
        ({"parts": np.zeros(3, np.int8)}, "parts has shape (3,), expected (4,)"),
        ({"digests": np.zeros((4, 8), np.uint8)}, "digests are uint8 of shape (4, 8), expected uint8 of shape (n, 16)"),
        ({"other_digests": (np.zeros((3, 16), np.uint8),)}, "digests are uint8 of shape (3, 16), expected uint8 of"),
        ({"columns": COLUMNS, "x": with_hole(TABLE.x * 9)}, "x has 4 values that are not finite or stand for no categ"),
        ({"columns": COLUMNS, "x": TABLE.x * np.float32(np.inf)}, "x has 8 values that are not finite"),
    ],
)
def test_unusable_rows_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_rows(replace(TABLE, **change))  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"data.source: {words}")


def test_usable_rows_pass() -> None:
    check_rows(TABLE)
    spool = Spool((2,), np.float32)
    spool.append([[np.nan, 1], [1, -1], [2, 0], [np.nan, 2]])
    check_rows(replace(TABLE, x=spool, columns=COLUMNS))
    check_rows(replace(TABLE, task="multilabel", y=np.ones((4, 3), np.uint8)))


def test_embedded_sources() -> None:
    rows = digits()
    check_rows(rows)
    assert (rows.x.shape, rows.x.dtype, rows.x.max()) == ((1797, 8, 8, 1), np.uint8, 16)
    assert (rows.task, rows.kind, rows.class_names) == ("multiclass", "image", tuple("0123456789"))
    assert rows.parts is None

    rows = breast_cancer()
    check_rows(rows)
    assert (rows.x.shape, rows.x.dtype, rows.task) == ((569, 30), np.float32, "binary")
    assert rows.class_names == ("malignant", "benign")
    assert np.bincount(rows.y).tolist() == [212, 357]
    assert rows.feature_names[0] == "mean radius"

    rows = diabetes()
    check_rows(rows)
    assert (rows.x.shape, rows.x.dtype, rows.y.dtype, rows.task) == ((442, 10), np.float32, np.float32, "regression")
    assert rows.x[0, 0] == 59, "columns as they were measured"
    assert rows.y[0] == 151
