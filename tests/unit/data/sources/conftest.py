"""A table in files as a run would see it: loaded, and its view fitted over all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.data.fit_view import fit_view
from holdfast.data.rows import Rows, check_rows
from holdfast.data.sources import table
from holdfast.data.store.row_keys import forms_of

ReadTable = Callable[..., Rows]
OPTIONS = ("delimiter", "decimal", "thousands", "encoding")
PATHS = ("val_path", "test_path")


@pytest.fixture
def read_table(home: Path) -> ReadTable:
    """Load files; the rows have what their view makes of them, with the digests of what the files hold."""

    def read(path: Path | str | list[str] | None, target: Any = "y", format: str = "csv", **given: Any) -> Rows:
        options = {key: given.pop(key) for key in OPTIONS if key in given}
        paths = {key: given.pop(key) for key in PATHS if key in given}
        where = str(path) if isinstance(path, Path) else path
        rows = table.load(where, format=format, settings={"target": target, **given}, options=options, **paths)
        check_rows(rows)
        return seen(rows)

    return read


def seen(rows: Rows) -> Rows:
    """Rows of a table through the view that is fitted to all of them."""
    assert rows.table is not None
    assert rows.settings is not None
    view, kept, notes = fit_view(rows.table, rows.settings, np.ones(len(rows), bool))
    x = np.concatenate([view.rows(batch).x for _, batch in rows.table.blocks()])[kept]
    names = ("y", "groups", "times", "parts")
    chosen = {name: array[kept] for name in names if (array := getattr(rows, name)) is not None}
    chosen |= {"digests": forms_of(rows).digests[:][kept], "notes": (*rows.notes, *notes)}
    fitted = replace(rows, table=None, x=x, columns=view.columns, **chosen)
    check_rows(fitted)
    return fitted
