"""Which rows of a table are which, remembered: another view of the same rows is made without deciding anew.

    store/decided/<key>.npz     masks of test rows and of rows for train and val, and what else a view needs

The key is made of the rows as they were read (SHA-256 over every cell, in their order), of what is predicted, grouped,
timed and declared, of split and vault, and of the vaults in force: a table with one other cell is decided anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.files import canonical_json, sha256_hex, write_atomic
from holdfast.data.rows import Rows
from holdfast.data.store import store
from holdfast.vault import registry

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Decided:
    """What has been decided of all rows of a source.

    Attributes:
        folder: The name of the rows in the store.
        vault: Of the test rows.
        test: (n,) Rows that are sealed.
        development: (n,) Rows for train and val.
        counts: As of `partition.Division`.
        num_sealed: Rows in the vault.
        goes_on: Whether the vault was there before.
    """

    folder: str
    vault: str
    test: Mask
    development: Mask
    counts: dict[str, int]
    num_sealed: int
    goes_on: bool


def remember(request: Mapping[str, Any], rows: Rows, decided: Decided) -> None:
    """Write down what was decided of a table."""
    path = _path(request, rows)
    if path is None:
        return
    meta = {key: getattr(decided, key) for key in ("folder", "vault", "counts", "num_sealed")}
    content = io.BytesIO()
    np.savez(
        content,
        test=np.packbits(decided.test),
        development=np.packbits(decided.development),
        meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content.getvalue())


def recall(request: Mapping[str, Any], rows: Rows) -> Decided | None:
    """What was decided of these very rows; None where nothing was, or where they or their vault are gone."""
    path = _path(request, rows)
    if path is None or not path.exists():
        return None
    with contextlib.suppress(*store.UNREADABLE), np.load(path, allow_pickle=False) as known:
        meta = json.loads(known["meta"].tobytes())
        if not store.is_whole(store.rows_folder(meta["folder"]) / "raw") or not store.stands(meta["vault"]):
            return None
        test, development = (
            np.unpackbits(known[part], count=len(rows)).astype(bool) for part in ("test", "development")
        )
        return Decided(test=test, development=development, goes_on=not store.is_open(meta["vault"]), **meta)
    return None


def _path(request: Mapping[str, Any], rows: Rows) -> Path | None:
    if rows.table is None or rows.settings is None:
        return None
    fixed = {
        "rows": rows.table.sha256,
        "target": [rows.target_name, rows.task, *rows.class_names],
        "id": list(rows.settings.id),
        **{name: _sha256(array) for name, array in _used(rows).items()},
        "test_rule": request["test_rule"],
        "vault": request["vault"],
        "in_force": sorted(record["vault"] for record in registry.in_force()),
    }
    return places.store() / "decided" / f"{sha256_hex(canonical_json(fixed))}.npz"


def _used(rows: Rows) -> dict[str, NDArray[Any] | None]:
    """What a decision knows of rows beside their cells."""
    return {
        "y": rows.y,
        "groups": rows.groups,
        "times": rows.times,
        "parts": rows.parts,
        "official": rows.official_test,
    }


def _sha256(array: NDArray[Any] | None) -> str:
    return "" if array is None else hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
