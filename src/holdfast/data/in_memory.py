"""Rows that a caller holds in memory, as one file that the readers of tables and arrays know."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.core.errors import InputError
from holdfast.core.files import sha256_file

HANDED_OVER = "HOLDFAST_HANDED_OVER"  # the variable that names the file to the process that prepares the rows
FEATURES, TARGETS = "x", "y"


def handed_over(content: str | None) -> Path:
    """Find the file that the caller's rows were written to, in the process that prepares them.

    The store and the vault have the rows afterwards, and nothing else: to prepare them again, the caller gives them
    again.

    Raises:
        InputError: There is none.
    """
    path = os.environ.get(HANDED_OVER)
    if path is None or not Path(path).is_file():
        problem = (
            f"was given in memory ({str(content)[:12]}), and is in the store no more in the form that is asked for"
        )
        raise InputError("data", problem, next="give the same rows again: holdfast.train(..., data=...)")
    return Path(path)


def is_table(rows: Any) -> bool:
    """Tell a DataFrame (pandas, polars), or a table of Arrow, from an array."""
    return hasattr(rows, "__arrow_c_stream__") or (hasattr(rows, "columns") and hasattr(rows, "iloc"))


def write_table(rows: Any, folder: Path, where: str = "data") -> tuple[Path, str]:
    """Write a table as Arrow IPC.

    Args:
        rows: A DataFrame, whose index is left out, or anything that Arrow takes for a table.
        folder: Where the file goes.
        where: Named in errors.

    Returns:
        The file, and the SHA-256 of its content.

    Raises:
        InputError: A column holds what Arrow has no type for, or has no name of its own.
    """
    import pyarrow as pa

    try:
        is_pandas = hasattr(rows, "iloc")
        if is_pandas and not all(isinstance(name, str) for name in rows.columns):
            rows = rows.rename(columns=str)
        table = pa.Table.from_pandas(rows, preserve_index=False) if is_pandas else pa.table(rows)
        if len(set(table.column_names)) < table.num_columns:
            raise InputError(where, "has columns of the same name", next="rename them")
        path = folder / "rows.arrow"
        # One batch, and no word of pandas: the same rows have the same bytes.
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema.remove_metadata()) as writer:
            for batch in table.replace_schema_metadata(None).combine_chunks().to_batches():
                writer.write_batch(batch)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            where, f"is no table that Arrow can hold ({reason})", next="give each column one type"
        ) from None
    return path, sha256_file(path)


def write_arrays(x: Any, y: Any | None, folder: Path, where: str = "data") -> tuple[Path, str]:
    """Write features, and targets where there are any, as `.npz`; returns the file and the SHA-256 of the arrays.

    Raises:
        InputError: They are no arrays of numbers or texts, or differ in length.
    """
    arrays = {FEATURES: _as_array(x, where)} | ({} if y is None else {TARGETS: _as_array(y, "target")})
    if y is not None and len(arrays[FEATURES]) != len(arrays[TARGETS]):
        problem = f"has {len(arrays[TARGETS])} entries for {len(arrays[FEATURES])} rows"
        raise InputError("target", problem, next="give one target a row")
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    path = folder / "rows.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path, digest.hexdigest()


def _as_array(values: Any, where: str) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(where, f"is no array ({error})") from None
    if array.dtype == object:
        if not all(isinstance(value, str) for value in array.ravel()[:1000]):
            raise InputError(where, "holds Python objects", next="give numbers, texts or a DataFrame")
        array = array.astype(str)
    if array.ndim == 0:
        raise InputError(where, f"is a {type(values).__name__}", "a DataFrame, an Arrow table, or an array of rows")
    return array
