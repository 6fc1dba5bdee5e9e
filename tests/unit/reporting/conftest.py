"""Prepared rows in memory: made-up tables and images, without a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.data.columns import Column
from holdfast.data.loading.train_val import RunRows
from holdfast.data.statistics import train_statistics
from holdfast.data.store.store import Prepared
from holdfast.vault.rows.identity import row_digests

MakeRows = Callable[..., RunRows]


@pytest.fixture
def make_rows() -> MakeRows:
    """make_rows(x, y, columns): three of four rows train, the others are val."""

    def make(x: NDArray[Any], y: NDArray[Any], columns: Sequence[Column] = (), **changes: Any) -> RunRows:
        kind = "image" if x.ndim == 4 else "table"
        columns = tuple(columns or (Column(f"c{index}", "number") for index in range(x.shape[1])))
        task = "regression" if y.dtype.kind == "f" else "multilabel" if y.ndim == 2 else "multiclass"
        num = 0 if task == "regression" else y.shape[1] if y.ndim == 2 else int(y.max()) + 1
        digests = row_digests(x, kind=kind)
        fields: dict[str, Any] = {
            **{"folder": Path("rows"), "vault": "a" * 32, "view": {"form": "array"}, "name": "made <b>", "task": task},
            **{"kind": kind, "class_names": tuple(f"class {index}" for index in range(num)), "num_test": 7},
            **{"columns": columns, "num_left_out": 0},
            **{"x": x, "y": y, "digests": digests, "units": digests, **changes},
        }
        is_val = np.arange(len(x)) % 4 == 3
        train = np.flatnonzero(~is_val)
        statistics = train_statistics(
            x, y, train, kind=kind, num_classes=num, columns=() if kind == "image" else columns
        )
        return RunRows(Prepared(**fields), train, np.flatnonzero(is_val), statistics)

    return make
