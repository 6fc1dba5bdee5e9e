"""The contract of sources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from holdfast.data.rows import Rows, check_rows
from holdfast.data.sources.call import as_rows


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
