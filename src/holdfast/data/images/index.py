"""The index of an image set: a table that says the label of every file, and perhaps its part and its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.data.formats.csv import CsvFile
from holdfast.data.rows import Rows
from holdfast.data.tables.cells import texts_of
from holdfast.data.tables.read import load_table
from holdfast.data.tables.settings import OnError, Task, table_settings
from holdfast.vault.rows.canonical_cells import MISSING_TEXTS

WHERE = "data.index"
# What a column may be called, in any letter case; the first that is there is taken.
NAMES = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path"),
    "label": ("label", "class", "target"),
    "split": ("split",),
    "group": ("group",),
}


def read_index(file: Path, task: Task, on_error: OnError) -> tuple[Rows, list[str]]:
    """The rows of an index as those of a table, and the path in each; empty where there is none.

    Raises:
        InputError: The file cannot be read, a column is missing, or a row cannot be used.
    """
    try:
        table = CsvFile(file)
        columns = _known(file, table.column_names())
        settings = {"target": columns["label"], "split_column": columns.get("split"), "group": columns.get("group")}
        # A path may be missing in one row, and the label in another.
        rows = load_table([(table, None)], table_settings({**settings, "task": task, "on_error": on_error}), file.name)
    except InputError as error:
        raise_problems([replace(problem, where=WHERE) for problem in error.problems])
    paths = []
    assert rows.table is not None
    for _, batch in rows.table.blocks([columns["path"]]):
        codes, texts = texts_of(batch.column(0), MISSING_TEXTS)
        paths += [texts[code] if code >= 0 else "" for code in codes.tolist()]
    return rows, paths


def _known(file: Path, columns: Sequence[str]) -> dict[str, str]:
    """The columns that are used, by the names that they have here."""
    spelled = {name.lower(): name for name in reversed(columns)}
    column_of = {
        name: next((spelled[word] for word in words if word in spelled), None) for name, words in NAMES.items()
    }
    allowed = f"its columns: {', '.join(columns)}"
    raise_problems(
        [
            Problem(WHERE, f"{file} has no column {name!r}", allowed, did_you_mean(name, columns))
            for name in ("path", "label")
            if column_of[name] is None
        ]
    )
    return {name: column for name, column in column_of.items() if column is not None}
