"""Several target columns: labels, or the values of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data.tables.labels import Target, UsedColumn, target_of, targets_from_array
from holdfast.data.tables.settings import table_settings

PRICE, RENT = np.linspace(1e5, 9e5, 40), np.linspace(300.0, 2500.0, 40)
FLAG, ROOMS = np.arange(40) % 2 * 1.0, np.arange(40) % 5 * 1.0


def decided(*columns: Any, task: str = "auto", texts: Sequence[Sequence[str]] | None = None) -> Target:
    named = zip(["price", "rent"], columns, texts or [(), ()], strict=False)
    return target_of([UsedColumn(name, np.asarray(column), words) for name, column, words in named], task)


def test_columns_of_values_are_several_targets() -> None:
    target = decided(PRICE, RENT)
    assert (target.task, target.class_names, target.y.dtype) == ("multitarget", ("price", "rent"), np.float32)
    assert target.y.tolist() == np.float32([PRICE, RENT]).T.tolist()
    assert target.words == "2 targets, a regression: 'price' 100000 to 900000, 'rent' 300 to 2500"


def test_columns_of_0_and_1_are_labels_unless_they_are_told_to_be_values() -> None:
    assert decided(FLAG, 1 - FLAG).task == "multilabel"
    assert decided(FLAG, 1 - FLAG, task="regression").task == "multitarget"
    assert decided(PRICE, ROOMS, task="regression").y[1].tolist() == [np.float32(PRICE[1]), 1.0]


@pytest.mark.parametrize(
    ("columns", "options", "problem", "advice"),
    [
        ((PRICE, ROOMS), {}, "'rent' looks like classes (5 whole numbers)", "data.task=regression"),
        ((PRICE, FLAG), {}, "'rent' looks like classes (0 and 1)", "data.task=regression"),
        ((PRICE, RENT), {"task": "classes"}, "'price' is no label", "data.task=regression"),
        ((PRICE, FLAG.astype(int)), {"texts": [(), ("a", "b")]}, "'rent' holds texts ('a')", "data.target=rent"),
        ((PRICE, np.full(40, 7.0)), {}, "'rent' is the same in every row", ""),
        ((PRICE, np.arange(40.0)), {}, "'rent' counts the rows (0 to 39, all distinct)", "data.task=regression"),
        ((PRICE, RENT * 1e300), {}, "'rent' has values beyond float32", "scale them"),
    ],
)
def test_columns_that_are_neither_are_named(columns: Any, options: Any, problem: str, advice: str) -> None:
    with pytest.raises(InputError) as caught:
        decided(*columns, **options)
    assert problem in str(caught.value)
    assert advice in str(caught.value)


def test_arrays_of_several_values() -> None:
    y = np.column_stack([PRICE, RENT])
    assert targets_from_array(y, "auto", ()).class_names == ("y0", "y1")
    target = targets_from_array(y, "auto", ("price", "rent"))
    assert (target.task, target.class_names, target.y.shape) == ("multitarget", ("price", "rent"), (40, 2))
    flags = np.column_stack([FLAG, 1 - FLAG])
    assert [targets_from_array(flags, task, ()).task for task in ("auto", "regression")] == ["binary", "multitarget"]
    with pytest.raises(InputError, match="y has 2 columns and there are 3 names"):
        targets_from_array(y, "auto", ("a", "b", "c"))
    y[3, 1] = np.nan
    with pytest.raises(InputError, match="y, row 3: is nan, not a target"):
        targets_from_array(y, "auto", ())


def test_a_target_that_is_named_twice() -> None:
    with pytest.raises(InputError, match="names 'price' twice"):
        table_settings({"target": ["price", "rent", "price"]})
