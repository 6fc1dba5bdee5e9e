"""Data sets that a user's own function may return."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data.fit_view import fit_view
from holdfast.data.rows import Rows, check_rows
from holdfast.data.sources.call import as_rows, custom
from holdfast.data.sources.embedded import digits
from holdfast.data.views import TableView

X, Y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2


class Pairs:
    """A map-style dataset, as torch's are; torch itself is not needed."""

    classes = ("cat", "dog")

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return np.full((6, 5, 3), index, np.uint8), index % 2


@pytest.fixture
def frame() -> Any:
    import pandas as pd

    return pd.DataFrame({"size": X[:, 0], "color": ["red", None] * 10, "who": np.arange(20) // 4, "sold": Y == 1})


def test_arrays_and_rows(home: Path) -> None:
    for result in ((X, Y), [X, Y], {"x": X, "y": Y}, (X.tolist(), Y.tolist())):
        rows = as_rows(result)
        check_rows(rows)
        assert (rows.kind, rows.task, rows.x.shape) == ("table", "binary", (20, 3))
    rows = as_rows({"x": X, "y": Y, "class_names": ["no", "yes"], "groups": Y, "feature_names": ["a", "b", "c"]})
    assert (rows.class_names, rows.feature_names) == (("no", "yes"), ("a", "b", "c"))
    given = digits()
    assert as_rows(given) is given


def test_a_dataset(home: Path) -> None:
    rows = as_rows(Pairs())
    check_rows(rows)
    assert (rows.kind, rows.x.shape, rows.class_names) == ("image", (20, 6, 5, 3), ("cat", "dog"))
    assert rows.x[7, 0, 0].tolist() == [7, 7, 7]


def view_of(rows: Rows) -> TableView:
    assert rows.table is not None
    assert rows.settings is not None
    return fit_view(rows.table, rows.settings, np.ones(len(rows), bool))[0]


def columns_of(rows: Rows) -> tuple[str, ...]:
    return tuple(column.name for column in view_of(rows).columns)


def test_a_frame(home: Path, frame: Any) -> None:
    rows = as_rows((frame, "sold"))
    check_rows(rows)
    assert (columns_of(rows), rows.class_names) == (("size", "color", "who"), ("false", "true"))
    assert view_of(rows).columns[1].categories == ("", "red")
    rows = as_rows({"x": frame, "y": "sold", "group": "who", "types": {"color": "drop"}})
    assert columns_of(rows) == ("size",)
    assert rows.groups is not None
    rows = as_rows((frame.drop(columns="sold"), Y))
    assert (rows.target_name, rows.y.tolist()) == ("target", Y.tolist())


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "returned a NoneType; allowed: Rows, (x, y)"),
        (X, "returned a ndarray"),
        ({"x": X}, "returned a mapping without y"),
        ({"x": X, "y": Y, "z": 1}, "returned a mapping with z; allowed: x, y, task"),
        (["ab", "cd", "ef"], "item 0 of the dataset is a str; allowed: (x, y)"),
        ((X, Y[:3]), "x has 20 rows and y has 3"),
    ],
)
def test_what_it_may_not_return(home: Path, result: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        as_rows(result)
    assert words in str(caught.value)


def test_the_option_asks_for_a_function() -> None:
    with pytest.raises(InputError, match=r"data\.source\._target_=my_rows\.load"):
        custom()
