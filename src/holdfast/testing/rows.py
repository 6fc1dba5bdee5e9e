"""The contracts of sources and of splits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.rows import Rows, check_rows
from holdfast.data.sources.call import as_rows
from holdfast.data.splits import Mask, Split, SplitFacts

NUM_ROWS, ROWS_PER_GROUP = 600, 3


def check_source(source: Callable[[], Any]) -> Rows:
    """Check that a source, or a function of your own, gives rows that a run can use, and the same ones again; the rows.

    Raises:
        InputError: The rows cannot be used; it says why.
    """
    rows, again = as_rows(source()), as_rows(source())
    check_rows(rows)
    for name in ("task", "kind", "class_names", "feature_names", "target_name"):
        message = f"{name} must be the same every time: {getattr(rows, name)}, then {getattr(again, name)}"
        assert getattr(rows, name) == getattr(again, name), message
    for name in ("x", "y", "groups", "times", "parts"):
        values, others = getattr(rows, name), getattr(again, name)
        message = f"{name} must be the same every time: a source must not draw rows at random"
        if values is None or others is None:
            assert values is others, message
        else:
            np.testing.assert_array_equal(values[:], others[:], err_msg=message)  # a NaN equals a NaN
    return rows


def check_split(split: Split) -> None:
    """Check that a split leaves rows for each part, keeps equal rows together and does not go by their order.

    It is tried on rows of two classes that come in groups, with times, and declared parts.
    """
    facts = made_up_facts()
    parts = _parts(split, facts)
    for number, name in enumerate(("train", "val", "test")):
        assert (parts == number).any(), f"the {name} part must have rows"
    groups = np.arange(NUM_ROWS) // ROWS_PER_GROUP
    is_whole = [len(set(parts[groups == group])) == 1 for group in np.unique(groups)]
    assert all(is_whole), "rows with equal units must stay on one side"
    order = np.random.default_rng(1).permutation(NUM_ROWS)
    assert np.array_equal(_parts(split, facts.of(order)), parts[order]), "a split must not depend on the order of rows"
    _check_rule(split)


def made_up_facts() -> SplitFacts:
    """Facts of rows that declare everything a split may ask for; a unit is a group."""
    generator = np.random.default_rng(0)
    num_groups = NUM_ROWS // ROWS_PER_GROUP
    groups = np.repeat(np.arange(num_groups), ROWS_PER_GROUP)
    units = generator.integers(0, 256, (num_groups, 16), dtype=np.uint8)[groups]
    declared = np.array([0, 0, 0, 1, 2], np.int8)[groups % 5]
    return SplitFacts(units, strata=groups % 2, groups=groups, times=groups.astype(np.float64), parts=declared)


def _parts(split: Split, facts: SplitFacts) -> NDArray[np.int8]:
    """0 train, 1 val, 2 test of each row."""
    test = split.test_rows(facts)
    _check_mask(test, len(facts), "test_rows")
    val = split.val_rows(facts.of(~test))
    _check_mask(val, int((~test).sum()), "val_rows")
    parts = np.zeros(len(facts), np.int8)
    parts[test] = 2
    parts[np.flatnonzero(~test)[val]] = 1
    return parts


def _check_mask(mask: Mask, num_rows: int, name: str) -> None:
    assert mask.dtype == bool, f"{name} must give bools, and gives {mask.dtype}"
    assert mask.shape == (num_rows,), f"{name} must give ({num_rows},), and gives {mask.shape}"


def _check_rule(split: Split) -> None:
    rule = split.test_rule()
    assert json.loads(json.dumps(rule)) == rule, f"test_rule must be plain values, as JSON has them: {rule}"
