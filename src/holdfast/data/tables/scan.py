"""One pass over the files of a table, block by block: what is stored, what is counted, and what stops it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, raise_problems
from holdfast.data.columns import MISSING
from holdfast.data.formats.types import Conflict
from holdfast.data.rows import TRAIN
from holdfast.data.spool import Spool
from holdfast.data.tables.cells import (
    Cells,
    Vocabulary,
    are_codes,
    as_number,
    cells_of,
    is_sentinel,
    kind_of,
    looks_like_date,
    numbers_of,
)
from holdfast.data.tables.problems import (
    ABSENT,
    INFINITE,
    NO_PART,
    STRAY,
    cell_problem,
    check_names,
    check_same_names,
    check_types,
    date_problem,
    listed,
)
from holdfast.data.tables.row_identity import TableIdentity
from holdfast.data.tables.settings import Plan, TableFile, TableSettings, is_part
from holdfast.data.tables.value_ranges import Ranges

MAX_CATEGORIES = 1_000_000
# Where at least so many of a column's texts are numbers, the others are mistakes.
STRAY_SHARE = 0.8


class Wrong(NamedTuple):
    """What is wrong with some cells of a column, and in which rows."""

    column: str
    reason: str
    rows: NDArray[np.bool_]


class Pass:
    """One pass over all files, and what has been seen so far.

    Attributes:
        files: Each with the part that its rows belong to, None where the files do not say.
        settings: What the user says of the columns.
        plan: What former passes have found out.
        features: The columns that are stored.
        vocabularies: The texts of the columns that are used; none for numbers.
        taken: By column that is used and not stored (targets, group, time, part): its numbers or codes.
        identity: What the rows are known by; None before the first block.
        parts: 0 train, 1 val, 2 test.
        left_out: How many rows were left out, by reason.
        ranges: What the numbers span.
        spool: The rows: numbers, and codes in the order in which texts turned up.
    """

    def __init__(self, files: Sequence[tuple[TableFile, int | None]], settings: TableSettings, plan: Plan) -> None:
        self.files = files
        self.settings = settings
        self.plan = plan
        self.names: list[str] = []
        self.features: list[str] = []
        self._kinds: dict[str, str] = {}
        self._part_columns: frozenset[str] | None = None
        self.vocabularies: dict[str, Vocabulary] = {}
        self.taken: dict[str, list[NDArray[Any]]] = {}
        self.identity: TableIdentity | None = None
        self.parts: list[NDArray[np.int8]] = []
        self.left_out: dict[str, int] = {}
        self.ranges = Ranges(0)
        self.spool: Spool | None = None

    def read(self) -> None:
        """Take in all files."""
        for number, (file, part) in enumerate(self.files):
            row = 0
            for names, arrays in file.batches(self.plan.read_as):
                if not self.names:
                    check_names(self.settings, names)
                    self.names = names
                check_same_names(file, names, self.names)
                if len(arrays[0]):
                    if self.spool is None:
                        self._start(names, arrays)
                    self._add(dict(zip(names, arrays, strict=True)), number, row, part)
                row += len(arrays[0])
            for reason, count in Counter(file.skipped).items():
                self.left_out[reason] = self.left_out.get(reason, 0) + count

    def number_columns(self) -> list[int]:
        """The places of the columns that hold numbers, among the features."""
        return [at for at, name in enumerate(self.features) if not len(self.vocabularies[name])]

    def _start(self, names: list[str], arrays: list[Any]) -> None:
        settings = self.settings
        taken = {*settings.target, *filter(None, (settings.group, settings.time, settings.split_column))}
        dropped = {*settings.drop, *(column for column, kind in settings.types.items() if kind == "drop")}
        self.features = [name for name in names if name not in taken | dropped]
        if not self.features:
            raise InputError("data.drop", "leaves no column but the target", next=f"the columns are {listed(names)}")
        used = {name: array for name, array in zip(names, arrays, strict=True) if name not in dropped - taken}
        examples = {name: str(array[0].as_py()) for name, array in used.items()}
        check_types(settings, {name: array.type for name, array in used.items()}, examples)
        self._kinds = {name: kind_of(array.type) for name, array in zip(names, arrays, strict=True)}
        self.vocabularies = {name: Vocabulary() for name in used}
        self.taken = {name: [] for name in taken}
        self.spool = Spool((len(self.features),), self.plan.dtype)
        self.ranges = Ranges(len(self.features))

    def _add(self, arrays: Mapping[str, Any], file: int, row: int, part: int | None) -> None:
        cells = {name: self._cells(name, array) for name, array in arrays.items() if self._kinds[name] != "nested"}
        raw = self._raw(cells, arrays)
        wrong = self._wrong({name: cells[name] for name in self.vocabularies})
        if wrong and not self.settings.skips:
            source = self.files[file][0]
            raise_problems(
                [
                    cell_problem(self.settings, source, name, row + int(np.flatnonzero(rows)[0]), reason)
                    for name, reason, rows in wrong
                ]
            )
        if wrong:
            bad = np.logical_or.reduce([rows for _, _, rows in wrong])
            for name, reason, rows in wrong:
                words = f"{reason} in column {name!r}"
                self.left_out[words] = self.left_out.get(words, 0) + int(rows.sum())
            cells, raw = ({name: column.of(~bad) for name, column in each.items()} for each in (cells, raw))
            if bad.all():
                return
        self._append(cells, file, row, part)
        self._add_digests(raw)

    def _cells(self, name: str, array: Any) -> Cells:
        """Texts that are known to be numbers become numbers; every block of a column must be of one kind."""
        if array.null_count == len(array) and self._kinds[name] == "text":
            return Cells("text", np.full(len(array), -1))
        if kind_of(array.type) != self._kinds[name]:
            raise Conflict(name, "string")
        cells = cells_of(array, self.settings.missing)
        if cells.kind == "text" and name in self.plan.numbers:
            values, is_stray = numbers_of(cells)
            return Cells("number", values, stray=is_stray if is_stray.any() else None)
        return cells

    def _raw(self, cells: Mapping[str, Cells], arrays: Mapping[str, Any]) -> Mapping[str, Cells]:
        """The cells with the numbers that the user calls missing: those are no part of what a row is."""
        words = tuple(text for text in self.settings.missing if not is_sentinel(text))
        if len(words) == len(self.settings.missing):
            return cells
        return {name: cells_of(arrays[name], words) for name in cells}

    def _wrong(self, cells: Mapping[str, Cells]) -> list[Wrong]:
        found = []
        for name, column in cells.items():
            if column.stray is not None:
                found.append(Wrong(name, STRAY, column.stray))
            if column.kind != "text":
                found.append(Wrong(name, INFINITE, np.isinf(column.values)))
            if name in self.taken:
                absent = column.values < 0 if column.kind == "text" else np.isnan(column.values)
                found.append(Wrong(name, ABSENT, absent if column.stray is None else absent & ~column.stray))
            if name == self.settings.split_column:
                is_odd = np.array([*(not is_part(text) for text in column.texts), False])
                rows = is_odd[column.values] if column.kind == "text" else np.ones(len(column), bool)
                found.append(Wrong(name, NO_PART, rows))
        return [wrong for wrong in found if wrong.rows.any()]

    def _append(self, cells: Mapping[str, Cells], file: int, row: int, part: int | None) -> None:
        assert self.spool is not None
        num_rows = len(cells[self.features[0]])
        block = np.empty((num_rows, len(self.features)), np.float64)
        for index, name in enumerate(self.features):
            column = cells[name]
            if column.kind == "text":
                block[:, index] = self._codes(name, column, file, row)
            else:
                block[:, index] = column.values
        self.ranges.add(block)
        if self.plan.dtype == "float32" and self.ranges.needs_double(self.number_columns()):
            raise Conflict("", "float64")
        self.spool.append(block)
        for name, blocks in self.taken.items():
            column = cells[name]
            blocks.append(self._codes(name, column, file, row) if column.kind == "text" else column.values)
        self.parts.append(np.full(num_rows, TRAIN if part is None else part, np.int8))

    def _add_digests(self, cells: Mapping[str, Cells]) -> None:
        """Digests are of all columns of the source, those that are left out included; but for what says parts.

        A column of train, val and test, declared or not, says nothing of the row: edited, added or removed it would
        make a sealed row an unknown one.
        """
        targets = set(self.settings.target)
        if self._part_columns is None:
            found = frozenset(name for name, column in cells.items() if says_parts(column)) - self.plan.words
            self._part_columns = found if cells.keys() - found - targets else frozenset()
        for name in self._part_columns:
            if not all(map(is_part, _texts_in(cells[name]))):
                raise Conflict(name, "word")
        canonical = {name: column.canonical() for name, column in cells.items() if name not in self._part_columns}
        if self.identity is None:
            self.identity = TableIdentity(canonical, targets)
        self.identity.add(canonical)

    def _codes(self, name: str, column: Cells, file: int, row: int) -> NDArray[np.int64]:
        vocabulary = self.vocabularies[name]
        codes = vocabulary.codes(column, (file, row))
        if len(vocabulary) > MAX_CATEGORIES and name != self.settings.group:
            judge_texts(self, name)
            what = f"column {name!r} has more than {MAX_CATEGORIES:,} different texts: no category, an identifier"
            raise InputError("data.drop", what, next=f"data.drop=[{name}]")
        return codes


def says_parts(cells: Cells) -> bool:
    """Whether cells are words for parts alone."""
    found = _texts_in(cells)
    return bool(found) and all(map(is_part, found))


def _texts_in(cells: Cells) -> list[str]:
    codes = np.unique(cells.values[cells.values >= 0]).tolist() if cells.kind == "text" else []
    return [cells.texts[code] for code in codes]


def judge_texts(found: Pass, name: str) -> None:
    """Texts that are all numbers are numbers, but for codes such as 01234; a few texts among many numbers are mistakes.

    Raises:
        Conflict: The column must be read as numbers.
        InputError: It holds dates, or texts among numbers.
    """
    settings, vocabulary = found.settings, found.vocabularies[name]
    if settings.types.get(name) == "category" or (name in settings.target and settings.task == "classes"):
        return
    present = np.array([text != MISSING for text in vocabulary.texts])
    is_number = np.array([not np.isnan(as_number(text)) for text in vocabulary.texts]) & present
    total, numbers = int(vocabulary.counts[present].sum()), int(vocabulary.counts[is_number].sum())
    texts = [text for text in vocabulary.texts if text != MISSING]
    if total and not numbers and name in found.features and all(map(looks_like_date, texts)):
        raise_problems([date_problem(name, texts[0], is_readable=False)])
    if not total or numbers < STRAY_SHARE * total:
        return
    is_asked = name in settings.types or (name in settings.target and settings.task == "regression")
    if not is_asked and are_codes(texts):
        return
    if numbers == total or settings.skips:
        raise Conflict(name, "number")
    file, row = min(vocabulary.first[code] for code in np.flatnonzero(present & ~is_number).tolist())
    problem = cell_problem(settings, found.files[file][0], name, row, STRAY)
    raise_problems([replace(problem, what=f"{problem.what}: {total - numbers:,} of {total:,} cells are no numbers")])
