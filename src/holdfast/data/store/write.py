"""Train and val rows into the store: what is known of them once, and each view of them; folders that appear whole.

What was decided about the rows of a table is remembered as well: another view of the same rows is made without deciding
anew. `store/decided/<key>.npz` holds masks of test rows and of rows for train and val. The key is made of the rows as
they were read (SHA-256 over every cell, in their order), of what is predicted, grouped, timed and declared, of split
and vault, and of the vaults in force: a table with one other cell is decided anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.files import canonical_json, sha256_hex, sync_folder, write_atomic
from holdfast.data.fit_view import fit_view
from holdfast.data.rows import Rows, blocks_of
from holdfast.data.store import store
from holdfast.data.store.partition import Division
from holdfast.data.views import view_from_dict
from holdfast.vault import known_rows, registry
from holdfast.vault.known_rows import RowForms
from holdfast.vault.rows import digest_sets
from holdfast.vault.rows.identity import DIGEST_BYTES, RowArray, row_digests

Mask = NDArray[np.bool_]
# Rows that are left out, as `Division.counts` has them, but for those that equal a test row.
REASONS = {
    "sealed_elsewhere": "are sealed in another vault",
    "left_out_group": "are of the group of a sealed row",
    "left_out_declared": "are declared test and were not when the vault was sealed",
    "left_out_late": "are not earlier than the first sealed row",
}


@dataclass(frozen=True, eq=False)
class MadeView:
    """The view of a division: as JSON has it, (n,) the rows for train and val that it takes, and notes."""

    plain: dict[str, Any]
    kept: Mask
    notes: tuple[str, ...] = ()


def make_view(rows: Rows, development: Mask) -> MadeView:
    """Decide how a run sees the rows, from those for train and val."""
    if rows.table is not None:
        assert rows.settings is not None
        view, kept, notes = fit_view(rows.table, rows.settings, development)
        return MadeView(view.as_dict(), kept, tuple(notes))
    assert rows.x is not None
    array = {"form": "array", "shape": list(rows.x.shape[1:]), "dtype": rows.x.dtype.name}
    return MadeView(rows.view or array, development)


def write_raw(name: str, vault: str, division: Division) -> Path:
    """Write what is known of the rows for train and val, unless it is there; their folder.

    Rows in another order, or of which something else is known, are others: views lie beside what is known of the rows.
    """
    known = _known(division)
    folder = store.rows_folder(f"{vault[:32]}-{_known_sha256(division, known)[:16]}")
    if not store.can_be_read(store.read_raw, folder / "raw"):
        _appear(folder / "raw", lambda at: _write_raw(at, name, vault, division, known))
    return folder


def write_view(folder: Path, division: Division, made: MadeView, notes: Sequence[str]) -> str:
    """Write a view of the rows in a folder of the store, unless it is there; the name of its own folder."""
    rows, development = division.rows, division.development
    kept = _sha256_of([np.packbits(made.kept[development])])
    columns = [column.as_dict() for column in rows.columns]
    cells = _cells_sha256(rows, development)
    name = sha256_hex(canonical_json({"view": made.plain, "columns": columns, "kept": kept, "cells": cells}))[:16]
    if not store.can_be_read(store.read_view, folder / "views" / name):
        _appear(folder / "views" / name, lambda at: _write_view(at, store.vault_of(folder), division, made, notes))
    return name


def remove_rows(folder: Path) -> None:
    """Remove a folder of the store, which has its name as long as it is whole."""
    ended = folder.with_name(f".{secrets.token_hex(8)}.old")
    folder.rename(ended)
    shutil.rmtree(ended)


def notes_of(division: Division) -> list[str]:
    """The notes on rows that are left out, and on a vault that goes on."""
    counts = division.counts
    notes = []
    if division.vault is not None:
        gone = division.num_sealed - counts["test"]
        words = f", {gone:,} of its rows are not in this source" if gone > 0 else ""
        notes.append(f"goes on with vault {division.vault[:8]}: {counts['test']:,} sealed rows stay out{words}")
    notes += [f"{counts[key]:,} rows left out that {words}" for key, words in REASONS.items() if counts.get(key)]
    return notes


def _known(division: Division) -> dict[str, RowArray]:
    """The arrays that are known of the rows, whatever the view."""
    rows, is_new = division.rows, division.is_new
    arrays: dict[str, RowArray | None] = {
        **{"y": rows.y, "digests": division.forms.digests},
        "units": division.units if division.units is not division.forms.digests else None,
        **{"groups": rows.groups, "times": rows.times, "parts": rows.parts},
        "is_new": is_new if is_new is not None and is_new[division.development].any() else None,
    }
    return {part: array for part, array in arrays.items() if array is not None}


def _known_sha256(division: Division, known: dict[str, RowArray]) -> str:
    rows = division.rows
    types = {part: array.dtype.str for part, array in known.items()}
    total = hashlib.sha256(canonical_json([rows.task, rows.kind, rows.class_names, types]))
    for array in known.values():
        total.update(_sha256_of(_blocks_of(array, division.development)).encode())
    return total.hexdigest()


def _cells_sha256(rows: Rows, development: Mask) -> str:
    """SHA-256 of what a row may hold beside what it is known by: columns of a table, the scale of numbers."""
    if rows.table is not None:
        return rows.table.sha256
    return _sha256_of(_blocks_of(rows.x, development)) if rows.kind == "array" and rows.x is not None else ""


def _sha256_of(blocks: Iterable[NDArray[Any]]) -> str:
    total = hashlib.sha256()
    for block in blocks:
        total.update(np.ascontiguousarray(block).tobytes())
    return total.hexdigest()


def _write_raw(folder: Path, name: str, vault: str, division: Division, known: dict[str, RowArray]) -> None:
    rows, development = division.rows, division.development
    for part, array in known.items():
        shape = (int(development.sum()), *array.shape[1:])
        _save_blocks(folder / f"{part}.npy", _blocks_of(array, development), shape, array.dtype)
    meta = {
        "format": store.FORMAT,
        "vault": vault,
        "name": name,
        "task": rows.task,
        "kind": rows.kind,
        "class_names": list(rows.class_names),
        "num_rows": int(development.sum()),
        "num_test": division.num_sealed,
        "num_left_out": division.counts["left_out"],
        "arrays": list(known),
        "digested": list(division.forms.columns),
    }
    write_atomic(folder / "meta.json", json.dumps(meta, indent=1, ensure_ascii=False))


def _write_view(folder: Path, vault: str, division: Division, made: MadeView, notes: Sequence[str]) -> None:
    rows, kept = division.rows, made.kept
    prints = [np.zeros((0, DIGEST_BYTES), np.uint8)]

    def blocks() -> Iterator[NDArray[Any]]:
        """The rows that the view takes; sealed rows that pass are fingerprinted where they look otherwise than raw."""
        key = known_rows.fingerprint_key(vault) if has_other_looks else b""
        for start, x in _viewed(rows, made):
            place = slice(start, start + len(x))
            if has_other_looks and (is_sealed := division.test[place]).any():
                prints.append(digest_sets.fingerprints_of(row_digests(x[is_sealed], kind=rows.kind), key))
            yield x[kept[place]]

    has_other_looks = division.test.any() and (rows.kind == "table" or rows.images is not None)
    columns = made.plain.get("columns") or [column.as_dict() for column in rows.columns]
    shape, dtype = ((len(columns),), made.plain["dtype"]) if rows.x is None else (rows.x.shape[1:], rows.x.dtype)
    _save_blocks(folder / "x.npy", blocks(), (int(kept.sum()), *shape), np.dtype(dtype))
    # The guard of a training process knows rows by these; rows that are alike in this view prove nothing.
    whole = np.concatenate(prints)
    digest_sets.write_records(folder / "sealed.fingerprints", [whole], np.zeros(len(whole), bool))
    if not kept[division.development].all():
        np.save(folder / "kept.npy", kept[division.development])
    meta = {"view": made.plain, "columns": columns, "notes": list(notes)}
    write_atomic(folder / "meta.json", json.dumps(meta, indent=1, ensure_ascii=False))


def _viewed(rows: Rows, made: MadeView) -> Iterator[tuple[int, NDArray[Any]]]:
    """The rows as the view shows them, block by block."""
    if rows.x is not None:
        return blocks_of(rows.x)
    assert rows.table is not None
    view = view_from_dict(made.plain)
    return ((start, view.rows(batch).x) for start, batch in rows.table.blocks())


def _appear(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a folder under another name, and give it its own when it is whole."""
    shutil.rmtree(folder, ignore_errors=True)
    temporary = folder.with_name(f".{secrets.token_hex(8)}.tmp")
    temporary.mkdir(parents=True)
    try:
        write(temporary)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def _blocks_of(array: RowArray, rows: Mask) -> Iterator[NDArray[Any]]:
    return (block[rows[start : start + len(block)]] for start, block in blocks_of(array))


def _save_blocks(path: Path, blocks: Iterator[NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Write rows as a `.npy` file, block by block."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block).tobytes())
        file.flush()
        os.fsync(file.fileno())


def remember(request: Mapping[str, Any], rows: Rows, folder: Path, division: Division) -> None:
    """Write down what was decided of a table whose rows for train and val lie in a folder of the store."""
    path = _decision_file(request, rows)
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
    path = _decision_file(request, rows)
    if path is None or not path.exists():
        return None
    with contextlib.suppress(*store.UNREADABLE), np.load(path, allow_pickle=False) as known:
        name, counts, num_sealed = json.loads(str(known["meta"]))
        folder, vault = store.rows_folder(name), store.vault_of(store.rows_folder(name))
        if store.can_be_read(store.read_raw, folder / "raw") and store.stands(vault):
            none = np.zeros((0, DIGEST_BYTES), np.uint8)
            division = Division(
                rows,
                forms=RowForms(none, rows.y),
                units=none,
                test=known["test"],
                development=known["development"],
                counts=counts,
                vault=None if store.is_open(vault) else vault,
                num_sealed=num_sealed,
            )
            return folder, division
    return None


def _decision_file(request: Mapping[str, Any], rows: Rows) -> Path | None:
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
