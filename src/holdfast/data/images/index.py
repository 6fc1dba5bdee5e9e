"""The index of an image set: a CSV that says the label of every file, and perhaps its part and its group."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.data.formats.csv import CsvFile
from holdfast.data.tables.cells import MISSING_TEXTS, has_codes, numbers_of, texts_of
from holdfast.data.tables.settings import PART_WORDS

WHERE = "data.index"
# What a column may be called, in any letter case; the first that is there is taken.
NAMES = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path"),
    "label": ("label", "class", "target"),
    "split": ("split",),
    "group": ("group",),
}
TEXTS = {*NAMES["path"], *NAMES["split"], *NAMES["group"]}


@dataclass(frozen=True, eq=False)
class Index:
    """What an index says, row by row.

    Attributes:
        file: It.
        rows: The number of each row in it, from 1.
        paths: As written.
        labels: Texts, or floats where all labels are numbers.
        parts: (n,) int8, or None.
        groups: Texts, or None.
        problems: Cells that are missing; their rows are not among these.
    """

    file: Path
    rows: list[int]
    paths: list[str]
    labels: list[Any]
    parts: NDArray[np.int8] | None
    groups: list[str] | None
    problems: list[tuple[str, str]]


def read_index(file: Path) -> Index:
    """Read an index.

    Raises:
        InputError: The file cannot be read, or a column is missing.
    """
    try:
        columns = _columns(file)
    except InputError as error:
        raise_problems([replace(problem, where=WHERE) for problem in error.problems])
    found = _known(columns)
    lacking = [name for name in ("path", "label") if name not in found]
    raise_problems(
        [
            Problem(
                WHERE,
                f"{file} has no column {name!r}",
                f"its columns: {', '.join(columns)}",
                did_you_mean(name, columns),
            )
            for name in lacking
        ]
    )
    if not len(found["path"]):
        raise InputError(WHERE, f"{file} has a header and no rows")
    lacks = {name: [row for row, cell in enumerate(cells) if cell is None] for name, cells in found.items()}
    kept = sorted(set(range(len(found["path"]))) - {row for rows in lacks.values() for row in rows})
    found = {name: [cells[row] for row in kept] for name, cells in found.items()}
    return Index(
        file,
        [row + 1 for row in kept],
        found["path"],
        found["label"],
        _parts(file, kept, found.get("split")),
        found.get("group"),
        [_lack(file, name, rows) for name, rows in lacks.items() if rows],
    )


def _lack(file: Path, name: str, rows: list[int]) -> tuple[str, str]:
    others = f" ({len(rows):,} rows are like that)" if len(rows) > 1 else ""
    return f"{file.name}, {CsvFile(file).place_of(rows[0])}", f"has no {name}{others}"


def _known(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The columns that are used, by the names that they have here."""
    spelled = {name.lower(): name for name in reversed(columns)}
    found = {name: next((spelled[word] for word in words if word in spelled), None) for name, words in NAMES.items()}
    return {name: columns[column] for name, column in found.items() if column is not None}


def _columns(file: Path) -> dict[str, list[Any]]:
    """The cells of each column: texts, but numbers where all labels are."""
    import pyarrow as pa

    blocks: dict[str, list[Any]] = {}
    for names, arrays in CsvFile(file).batches():
        for name, array in zip(names, arrays, strict=True):
            blocks.setdefault(name, []).append(array)
    return {name: _values(name, pa.concat_arrays(arrays)) for name, arrays in blocks.items()}


def _values(name: str, array: Any) -> list[Any]:
    if name.lower() not in TEXTS:
        numbers = numbers_of(array, MISSING_TEXTS)
        if numbers.is_text is None and numbers.is_date is None and not has_codes(array):
            return [None if math.isnan(value) else value for value in numbers.values.tolist()]
    codes, texts = texts_of(array, MISSING_TEXTS)
    return [None if code < 0 else texts[code] for code in codes.tolist()]


def _parts(file: Path, rows: list[int], words: list[str] | None) -> NDArray[np.int8] | None:
    if words is None:
        return None
    for row, word in zip(rows, words, strict=True):
        if word.lower() not in PART_WORDS:
            where = f"{file}, {CsvFile(file).place_of(row)}"
            raise InputError(WHERE, f"{where}: split is {word!r}", allowed="train, val, test")
    return np.array([PART_WORDS[word.lower()] for word in words], np.int8)
