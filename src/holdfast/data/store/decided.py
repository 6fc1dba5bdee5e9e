"""Decisions about the rows of a table, remembered: another view of the same rows is made without deciding anew.

    store/decided/<key>.npz     masks of test rows and of rows for train and val, and what else a view needs

The key is made of the rows as they were read (SHA-256 over every cell, in their order), of what is predicted, grouped,
timed and declared, of split and vault, and of the vaults in force: a table with one other cell is decided anew, which
takes as long as the first time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.core import places
from holdfast.core.files import canonical_json, sha256_hex, write_atomic
from holdfast.data.rows import Rows
from holdfast.data.store import store
from holdfast.data.store.partition import Division
from holdfast.vault import registry
from holdfast.vault.known_rows import RowForms
from holdfast.vault.rows.identity import DIGEST_BYTES


def remember(request: Mapping[str, Any], rows: Rows, folder: Path, division: Division) -> None:
    """Write down what was decided of a table whose rows for train and val lie in a folder of the store."""
    path = _path(request, rows)
    if path is None:
        return
    meta = json.dumps([folder.name, division.counts, division.num_sealed])
    content = io.BytesIO()
    np.savez_compressed(content, test=division.test, development=division.development, meta=np.array(meta))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content.getvalue())


def recall(request: Mapping[str, Any], rows: Rows) -> tuple[Path, Division] | None:
    """The decision about these very rows, but for what they are known by, which no view asks for.

    None where nothing was decided, or where the rows or their vault are gone.
    """
    path = _path(request, rows)
    if path is None or not path.exists():
        return None
    with contextlib.suppress(*store.UNREADABLE), np.load(path, allow_pickle=False) as known:
        name, counts, num_sealed = json.loads(str(known["meta"]))
        folder, vault = store.rows_folder(name), store.vault_of(store.rows_folder(name))
        if store.can_be_read(store.read_raw, folder / "raw") and store.stands(vault):
            none = np.zeros((0, DIGEST_BYTES), np.uint8)
            division = Division(
                *(rows, RowForms(none, rows.y), none, known["test"], known["development"], counts),
                vault=None if store.is_open(vault) else vault,
                num_sealed=num_sealed,
            )
            return folder, division
    return None


def _path(request: Mapping[str, Any], rows: Rows) -> Path | None:
    if rows.table is None or rows.settings is None:
        return None
    used = [b"" if array is None else array.tobytes() for array in (rows.y, rows.groups, rows.times, rows.parts)]
    fixed = {
        "rows": rows.table.sha256,
        "target": [rows.target_name, rows.task, *rows.class_names],
        "id": list(rows.settings.id),
        "used": [hashlib.sha256(content).hexdigest() for content in used],
        **{key: request[key] for key in ("test_rule", "vault")},
        "in_force": sorted(record["vault"] for record in registry.in_force()),
    }
    return places.store() / "decided" / f"{sha256_hex(canonical_json(fixed))}.npz"
