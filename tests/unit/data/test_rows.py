from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data.columns import Column
from holdfast.data.rows import Rows, check_rows
from holdfast.data.sources.embedded import breast_cancer, diabetes, digits, iris

TABLE = Rows(
    x=np.ones((4, 2), np.float32),
    y=np.array([0, 1, 2, 0]),
    task="multiclass",
    kind="table",
    class_names=("a", "b", "c"),
    columns=(Column("size", "number"), Column("age", "number")),
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": TABLE.x[:0], "y": TABLE.y[:0]}, "has no rows"),
        ({"x": TABLE.x[:3]}, "has 3 rows and 4 targets"),
        ({"y": np.array([0, 1, 3, 0])}, "row 2 has class 3, expected 0 to 2"),
        ({"task": "binary"}, "a binary task has 3 class names"),
        ({"task": "ranking"}, "task 'ranking' is none of multiclass, binary"),
        ({"task": "regression"}, "targets of a regression task are int64 with 1 axes, expected float32 with 1"),
        ({"parts": np.array([0, 1, 2, 3], np.int8)}, "parts holds [0, 1, 2, 3], expected 0, 1 and 2"),
        ({"parts": np.zeros(3, np.int8)}, "parts has shape (3,), expected (4,)"),
    ],
)
def test_unusable_rows_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_rows(replace(TABLE, **change))  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"data.source: {words}")


def test_usable_rows_pass() -> None:
    check_rows(TABLE)
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

    rows = iris()
    check_rows(rows)
    assert (rows.task, rows.class_names) == ("multiclass", ("setosa", "versicolor", "virginica"))
    rows = iris(["petal_length", "petal_width"])
    check_rows(rows)
    assert (rows.task, rows.class_names) == ("multitarget", ("petal_length", "petal_width"))
    assert rows.y[0].tolist() == pytest.approx([1.4, 0.2])
