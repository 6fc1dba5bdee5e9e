"""The index of an image set: a CSV that says the label of every file, and perhaps its part and its group."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.data.cells import MISSING_TEXTS, cells_of
from holdfast.data.formats.csv import CsvFile
from holdfast.data.formats.types import Conflict
from holdfast.data.table_settings import PART_WORDS

WHERE = "data.index"


@dataclass(frozen=True, eq=False)
class Index:
    """What an index says, row by row.

    Attributes:
        file: It.
        paths: As written.
        labels: Texts, or floats where all labels are numbers.
        parts: (n,) int8, or None.
        groups: Texts, or None.
    """

    file: Path
    paths: list[str]
    labels: list[Any]
    parts: NDArray[np.int8] | None
    groups: list[str] | None

    def places(self) -> list[str]:
        """What each row is called."""
        return [f"row {row}" for row in range(1, len(self.paths) + 1)]


def read_index(file: Path) -> Index:
    """Read an index.

    Raises:
        InputError: Columns or cells are missing.
    """
    columns = _columns(file)
    lacking = [name for name in ("path", "label") if name not in columns]
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
    if not len(columns["path"]):
        raise InputError(WHERE, f"{file} has a header and no rows")
    problems = []
    for name in ("path", "label", "split", "group"):
        empty = [row for row, text in enumerate(columns.get(name, [])) if text is None]
        if empty:
            problems.append(Problem(WHERE, f"{file}, {CsvFile(file).place_of(empty[0])}: has no {name}"))
    raise_problems(problems)
    return Index(file, columns["path"], columns["label"], _parts(file, columns.get("split")), columns.get("group"))


def _columns(file: Path) -> dict[str, list[Any]]:
    """The cells of each column: texts, but numbers where all labels are."""
    types = {"path": "string", "split": "string", "group": "string"}
    while True:
        found: dict[str, list[Any]] = {}
        try:
            for names, arrays in CsvFile(file, missing=MISSING_TEXTS).batches(types):
                for name, array in zip(names, arrays, strict=True):
                    found.setdefault(name, []).extend(_values(array))
            return found
        except Conflict as conflict:
            types[conflict.column] = conflict.type


def _values(array: Any) -> list[Any]:
    cells = cells_of(array, MISSING_TEXTS)
    if cells.kind == "text":
        return [None if code < 0 else cells.texts[code] for code in cells.values.tolist()]
    return [None if math.isnan(value) else value for value in cells.values.tolist()]


def _parts(file: Path, words: list[str] | None) -> NDArray[np.int8] | None:
    if words is None:
        return None
    for row, word in enumerate(words):
        if word.lower() not in PART_WORDS:
            where = f"{file}, {CsvFile(file).place_of(row)}"
            raise InputError(WHERE, f"{where}: split is {word!r}", allowed="train, val, test")
    return np.array([PART_WORDS[word.lower()] for word in words], np.int8)
