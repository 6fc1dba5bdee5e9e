"""Train and val rows into the store: a folder that is whole from the moment it has its name."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdfast.core.files import sync_folder, write_atomic
from holdfast.data.rows import blocks_of
from holdfast.data.store import store
from holdfast.data.store.partition import Division
from holdfast.vault.rows.arrays import RowArray


def write_rows(name: str, vault: str, division: Division) -> None:
    """Write a folder of the store, unless a whole one is there."""
    folder = store.rows_folder(vault)
    with contextlib.suppress(*store.UNREADABLE):
        known = store.read_folder(folder)
        if (known.feature_names, known.columns) == (division.rows.feature_names, division.columns):
            return
        remove_rows(folder)
    shutil.rmtree(folder, ignore_errors=True)
    temporary = folder.with_name(f".{secrets.token_hex(8)}.tmp")
    temporary.mkdir(parents=True)
    try:
        arrays = _arrays(division)
        for part, array in arrays.items():
            _save(temporary / f"{part}.npy", array, division.development)
        meta = {**_meta(division), "vault": vault, "name": name, "arrays": list(arrays)}
        write_atomic(temporary / "meta.json", json.dumps(meta, indent=1, ensure_ascii=False))
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def remove_rows(folder: Path) -> None:
    """Remove a folder of the store, which has its name as long as it is whole."""
    ended = folder.with_name(f".{secrets.token_hex(8)}.old")
    folder.rename(ended)
    shutil.rmtree(ended)


def _arrays(division: Division) -> dict[str, RowArray]:
    rows, identity = division.rows, division.identity
    arrays: dict[str, RowArray | None] = {
        **{"x": division.x, "y": rows.y, "digests": identity.digests},
        "units": identity.units if identity.units is not identity.digests else None,
        **{"groups": rows.groups, "times": rows.times, "parts": rows.parts},
    }
    return {part: array for part, array in arrays.items() if array is not None}


def _meta(division: Division) -> dict[str, object]:
    rows = division.rows
    return {
        "format": store.FORMAT,
        "content": division.content,
        "task": rows.task,
        "kind": rows.kind,
        "class_names": list(rows.class_names),
        "feature_names": list(rows.feature_names),
        "columns": [column.as_dict() for column in division.columns],
        "notes": list(rows.notes),
        "num_rows": division.counts["development"],
        "num_test": division.counts["test"],
        "num_left_out": division.counts["left_out"],
    }


def _save(path: Path, array: RowArray, rows: NDArray[np.bool_]) -> None:
    """Some rows as a `.npy` file, a few MiB at a time."""
    shape = (int(rows.sum()), *array.shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start, block in blocks_of(array):
            file.write(block[rows[start : start + len(block)]].tobytes())
        file.flush()
        os.fsync(file.fileno())
