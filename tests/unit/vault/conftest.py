from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.data.rows import ArrayRows
from holdfast.data.store.row_keys import is_common_row
from holdfast.vault import lifecycle, registry, sealing
from holdfast.vault.known_rows import RowForms
from holdfast.vault.rows.identity import row_digests
from holdfast.vault.sealing import SealRequest

Make = Callable[..., SealRequest]


@pytest.fixture
def rows() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """100 different rows of 5 numbers in 2 classes."""
    random = np.random.default_rng(7)
    return random.normal(size=(100, 5)).astype(np.float32), random.integers(0, 2, 100)


@pytest.fixture
def make_request() -> Make:
    """A request to seal the rows `test` of a table."""

    def make(
        x: NDArray[Any], y: NDArray[Any], /, test: slice | NDArray[Any] = slice(20), **changes: Any
    ) -> SealRequest:
        digests, classes = row_digests(x, kind="table"), ("no", "yes")
        raw = ArrayRows(x, digests, "table")
        mask = np.zeros(len(x), bool)
        mask[test] = True
        fields: dict[str, Any] = {
            **{"source": {"name": "points"}, "test_rule": {"split": "holdout"}, "task": "binary"},
            **{"kind": "table", "target": "y", "layout": raw.layout, "pieces": raw.pieces},
            **{"forms": RowForms(digests, y, classes), "test": mask, "development": ~mask},
            **{"is_common": is_common_row(x, "table"), "settings": {}, "counts": {"left_out": 0}},
        }
        return SealRequest(**{**fields, **changes})

    return make


def seal(request: SealRequest) -> str:
    """Seal as the preparing process does; the vault's id."""
    with registry.locked():
        lifecycle.recover()
        return sealing.seal(request)
