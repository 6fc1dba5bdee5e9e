"""Prepared rows in memory: made-up tables and images, without a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.data.columns import Column
from holdfast.data.store.store import Prepared
from holdfast.reporting.dataset import Parts
from holdfast.vault.rows.identity import row_digests

MakeParts = Callable[..., Parts]


@pytest.fixture
def make_parts() -> MakeParts:
    """make_parts(x, y, columns): three of four rows train, the others are val."""

    def make(x: NDArray[Any], y: NDArray[Any], columns: Sequence[Column] = (), **changes: Any) -> Parts:
        kind = "image" if x.ndim == 4 else "table"
        columns = tuple(columns or (Column(f"c{index}", "number") for index in range(x.shape[1])))
        task = "regression" if y.dtype.kind == "f" else "multilabel" if y.ndim == 2 else "multiclass"
        num = 0 if task == "regression" else y.shape[1] if y.ndim == 2 else int(y.max()) + 1
        digests = row_digests(x, kind=kind)
        fields: dict[str, Any] = {
            **{"folder": Path("rows"), "vault": "a" * 32, "view": {"form": "array"}, "name": "made <b>", "task": task},
            **{"kind": kind, "class_names": tuple(f"class {index}" for index in range(num)), "num_test": 7},
            **{"columns": columns, "num_left_out": 0},
            **{"x": x, "y": y, "digests": digests, "units": digests},
        }
        is_val = np.arange(len(x)) % 4 == 3
        options = {"target": "price", **changes}
        return Parts(Prepared(**fields), np.flatnonzero(~is_val), np.flatnonzero(is_val), columns, **options)

    return make
