"""Rows that a caller holds in memory, as one file that the readers of tables and arrays know."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.core.errors import InputError, raise_problems
from holdfast.core.files import sha256_file
from holdfast.data.arrow import pa
from holdfast.data.formats.files import unique_names

HANDED_OVER = "HOLDFAST_HANDED_OVER"  # the variable that names the file to the process that prepares the rows
FEATURES, TARGETS = "x", "y"


def handed_over(content: str | None) -> Path:
    """Find the file that the caller's rows were written to, in the process that prepares them.

    Afterwards only the store and the vault have the rows: to prepare them again, the caller gives them again.
    """
    path = os.environ.get(HANDED_OVER)
    if path is None or not Path(path).is_file():
        place = "and is in the store no more in the form that is asked for"
        advice = "give the same rows again: holdfast.train(..., data=...)"
        raise InputError("data", f"was given in memory ({str(content)[:12]}), {place}", next=advice)
    return Path(path)


def is_table(rows: Any) -> bool:
    """Tell a DataFrame (pandas, polars), or a table of Arrow, from an array."""
    return hasattr(rows, "__arrow_c_stream__") or (hasattr(rows, "columns") and hasattr(rows, "iloc"))


def arrow_table(rows: Any, where: str) -> Any:
    """A DataFrame, whose index is left out, or anything that Arrow takes for a table, as a table of pyarrow's."""
    is_pandas = hasattr(rows, "iloc")
    if is_pandas:
        unique_names("the table", [str(name) for name in rows.columns], where)
    try:
        table = pa.Table.from_pandas(rows.rename(columns=str), preserve_index=False) if is_pandas else pa.table(rows)
    except (pa.ArrowException, TypeError, ValueError) as error:
        problem = f"is no table that Arrow can hold ({' '.join(str(error).split())[:200]})"
        raise InputError(where, problem, next="give each column one type") from None
    unique_names("the table", table.column_names, where)
    return table.replace_schema_metadata(None)  # no word of pandas: the same rows have the same bytes


def write_rows(x: Any, y: Any | None, folder: Path, where: str = "data") -> tuple[Path, str]:
    """Write a table, or an array of features with its targets, into a file; returns it and the SHA-256 of its content.

    `where` is to blame where they cannot be written.
    """
    return _write_table(x, folder, where) if is_table(x) else _write_arrays(x, y, folder, where)


def _write_table(rows: Any, folder: Path, where: str) -> tuple[Path, str]:
    """Write a table (`arrow_table`) as Arrow IPC."""
    table, path = arrow_table(rows, where), folder / "rows.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        for batch in table.combine_chunks().to_batches():
            writer.write_batch(batch)
    return path, sha256_file(path)


def _write_arrays(x: Any, y: Any | None, folder: Path, where: str) -> tuple[Path, str]:
    """Write features, and targets where there are any, as `.npz`; refuse other things and other lengths."""
    from holdfast.data.arrays import as_array

    if isinstance(x, str) or not hasattr(x, "__len__"):
        raise InputError(where, f"is a {type(x).__name__}", "a DataFrame, an Arrow table, or an array of rows")
    arrays = {FEATURES: as_array(x, "x", where)} | ({} if y is None else {TARGETS: as_array(y, "y", "target")})
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


@contextmanager
def told_without(path: Path | None, where: str) -> Iterator[None]:
    """Tell mistakes in rows in memory without the file that they were written to: `where` is to blame, not its path."""
    try:
        yield
    except InputError as error:
        if path is None:
            raise
        problems = []
        for problem in error.problems:
            message = re.sub(f"{re.escape(str(path))}(, |: | )", "", problem.what).replace(str(path), "the table")
            is_of_file = problem.where in ("data.path", "--input")
            problems.append(replace(problem, where=where if is_of_file else problem.where, what=message))
        raise_problems(problems)
