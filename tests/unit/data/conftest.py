"""A data set that is made in a moment: a module of the user's, as the sources of strangers are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.data.columns import number_columns, unnamed
from holdfast.data.store.store import FORMAT, Prepared, prepare, read_view
from holdfast.vault.rows.identity import row_digests

MODULE = """
from pathlib import Path
import numpy as np
from holdfast.data.columns import number_columns
from holdfast.data.rows import Rows

def load(path=None, num_rows=100, official=False, seed=0):
    print("a source may print")
    rows = np.random.default_rng(seed)
    x, y = rows.normal(size=(num_rows, 3)).astype(np.float32), np.arange(num_rows) % 2
    if path is not None:
        x[:, 0] = len(Path(path).read_text())
    parts = np.where(np.arange(num_rows) >= num_rows - 20, 2, 0).astype(np.int8) if official else None
    if official:
        x[0] = x[-1]
    return Rows(x, y, "binary", "table", ("no", "yes"), columns=number_columns("abc"), parts=parts)

def interrupt():
    raise KeyboardInterrupt

def fail(what):
    raise RuntimeError(f"the {what} is on fire")

def die():
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""

Prepare = Callable[..., Prepared]
MakePrepared = Callable[..., Prepared]


@pytest.fixture
def prepare_mine(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Prepare rows of a source that lies in a folder of the user's, which is the working folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "my_rows.py").write_text(MODULE)
    monkeypatch.chdir(folder)

    def prepare_it(function: str = "load", split: dict[str, Any] | None = None, **arguments: Any) -> Prepared:
        source = {"_target_": f"my_rows.{function}", **arguments}
        chosen = {"_target_": "holdfast.data.splits.Holdout", **(split or {})}
        return prepare({"name": "mine", "source": source}, chosen, {})

    return prepare_it


@pytest.fixture
def make_prepared(tmp_path: Path) -> MakePrepared:
    """Rows in a folder as the store has them, without a vault."""

    def make(x: NDArray[Any], y: NDArray[Any], kind: str) -> Prepared:
        raw, view = tmp_path / "rows" / "raw", tmp_path / "rows" / "views" / "made"
        raw.mkdir(parents=True)
        view.mkdir(parents=True)
        for folder, name, array in ((view, "x", x), (raw, "y", y), (raw, "digests", row_digests(x, kind=kind))):
            np.save(folder / f"{name}.npy", array)
        classes = [] if y.dtype.kind == "f" else [str(index) for index in range(int(y.max()) + 1)]
        meta = {
            **{"format": FORMAT, "vault": "0" * 32, "name": "made", "num_rows": len(x)},
            **{"task": "multiclass" if classes else "regression", "kind": kind, "class_names": classes},
            **{"num_test": 1, "num_left_out": 0, "arrays": ["y", "digests"], "digested": []},
        }
        (raw / "meta.json").write_text(json.dumps(meta))
        seen = {"form": "array", "shape": list(x.shape[1:]), "dtype": x.dtype.name}
        columns = number_columns(unnamed(x.shape[1])) if kind == "table" else ()
        view_meta = {"view": seen, "columns": [column.as_dict() for column in columns], "notes": []}
        (view / "meta.json").write_text(json.dumps(view_meta))
        return read_view(view)

    return make
