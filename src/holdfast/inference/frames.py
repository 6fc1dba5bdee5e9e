"""Predictions of a table or an array in memory, as a DataFrame."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.core.errors import InputError, raise_problems
from holdfast.data.in_memory import is_table, write_arrays, write_table
from holdfast.data.new_rows import read_like
from holdfast.inference.checks import read_predicting_run
from holdfast.inference.predict import predictions_of

if TYPE_CHECKING:
    import pandas as pd

WHERE = "rows"


def predict_frame(run: Path, rows: Any, *, batch_size: int = 1024) -> pd.DataFrame:
    """Predict rows in memory; see `holdfast.Run.predict`.

    The rows are read as `holdfast predict` reads a file, so that both refuse the same and answer the same.
    """
    import pandas as pd

    record = read_predicting_run(run)
    if batch_size < 1:
        raise InputError("batch_size", f"is {batch_size}", allowed="1 or more")
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        path, _ = (
            write_table(rows, Path(folder), WHERE) if is_table(rows) else write_arrays(rows, None, Path(folder), WHERE)
        )
        blocks = read_like(record["data"], path, settings=record["config"].get("data"))
        try:
            tables = [table for _, table in predictions_of(run, record["data"], blocks, batch_size)]
        except InputError as error:
            raise_problems([_without_path(problem, path) for problem in error.problems])
            raise
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return pd.DataFrame(columns, index=rows.index if hasattr(rows, "iloc") else None)


def _without_path(problem: Any, path: Path) -> Any:
    """Say "rows" in place of the file that they were written to."""
    text = problem.what.replace(f"{path}: ", "").replace(f"{path}, ", "").replace(f"{path} ", "")
    return replace(problem, where=WHERE, what=text)
