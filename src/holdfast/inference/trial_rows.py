"""Rows to try an exported model with: val rows where the store has them, made-up rows of the same kind otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.config.check import check_recorded
from holdfast.core.errors import HoldfastError

NUM_ROWS = 512


def trial_rows(record: dict[str, Any]) -> tuple[NDArray[Any], str]:
    """At most 512 rows as they are stored, and what they are in words."""
    from holdfast.data.loading.train_val import rows_of_run

    try:
        check_recorded(record["config"], ("split",))
        rows = rows_of_run(record["config"]["split"], record["data"])
        return np.asarray(rows.prepared.x[rows.val[:NUM_ROWS]]), f"val rows of {record['data']['name']}"
    except HoldfastError:
        return random_rows(record["data"], 64), "random rows, as the store does not have the val rows"


def random_rows(data: Mapping[str, Any], num_rows: int) -> NDArray[Any]:
    """Made-up rows of the shape and type of stored ones, by the record's field `data`."""
    generator = np.random.default_rng(0)
    shape, dtype = (num_rows, *data["row_shape"]), np.dtype(data["dtype"])
    if dtype.kind in "iub":
        high = 2 if dtype.kind == "b" else 256 if dtype.itemsize == 1 and dtype.kind == "u" else 128
        return generator.integers(0, high, shape).astype(dtype)
    x = generator.normal(size=shape).astype(dtype)
    for index, column in enumerate(data.get("columns") or ()):
        if column["type"] == "category":
            x[:, index] = generator.integers(-1, max(1, len(column.get("categories", ()))), num_rows)
        elif column.get("has_missing"):
            x[generator.random(num_rows) < 0.1, index] = np.nan
    return x
