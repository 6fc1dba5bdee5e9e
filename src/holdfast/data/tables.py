"""From the blocks of a table to `Rows`: types, targets, digests and warnings, in one pass and little memory.

Types are taken from the first rows. Where a later row does not fit, or all rows together say something else (a column
of texts that are all numbers, numbers that float32 would make equal), the source is read again with what is known now.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.data.cells import Cells, Vocabulary, as_number, cells_of, kind_of, looks_like_date, numbers_of
from holdfast.data.columns import MISSING, Column
from holdfast.data.formats.types import Conflict
from holdfast.data.recoded import Recoded
from holdfast.data.rows import TEST, TRAIN, VAL, Rows
from holdfast.data.spool import Spool
from holdfast.data.table_targets import Target, target_of
from holdfast.data.value_ranges import Ranges
from holdfast.vault.identity import table_digests

MAX_READINGS = 1000
MAX_CATEGORIES = 1_000_000
MIN_ROWS_OF_IDS = 10
STRAY_SHARE = 0.8
IN_MEMORY_BYTES = 64 * 2**20
PART_WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}
ID_WORDS = ("id", "index", "uuid", "guid", "rowid", "row")


class TableFile(Protocol):
    """A file that can be read block by block, as often as it takes."""

    @property
    def skipped(self) -> list[str]:
        """One word for every row that was left out while the file was read."""

    def batches(self, types: Mapping[str, str]) -> Iterator[tuple[list[str], list[Any]]]:
        """Names and arrays of pyarrow's, some rows at a time."""

    def place_of(self, row: int) -> str:
        """What a row is called: line 17."""


@dataclass(frozen=True)
class TableSettings:
    """What a user says of a table; every name is that of a setting `data.<name>`.

    Attributes:
        target: One column, or the labels of a multilabel task.
        task: Whether the target holds classes or values; auto: it is looked at.
        types: By column: number, category or drop.
        drop: Columns that are left out.
        drops_auto: Whether columns that look like identifiers or are constant are left out, too.
        group: The column whose equal values stay on one side of a split.
        time: The column that tells when a row was taken.
        split_column: The column that says train, val or test.
        missing: Texts that mean a missing cell.
        skips: Whether rows that cannot be used are left out instead of being an error.
    """

    target: tuple[str, ...]
    task: Literal["auto", "classes", "regression"] = "auto"
    types: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    drops_auto: bool = False
    group: str | None = None
    time: str | None = None
    split_column: str | None = None
    missing: tuple[str, ...] = ()
    skips: bool = False


@dataclass(frozen=True)
class Plan:
    """What is known of the columns before a reading.

    Attributes:
        read_as: Types of pyarrow's that columns are read as.
        numbers: Columns of texts that are numbers.
        dtype: Of the rows.
    """

    read_as: Mapping[str, str]
    numbers: frozenset[str]
    dtype: Literal["float32", "float64"] = "float32"

    def after(self, conflict: Conflict) -> Plan:
        """The plan with what a reading found out."""
        if conflict.type == "float64" and not conflict.column:
            return replace(self, dtype="float64")
        if conflict.type == "number":
            return replace(self, numbers=self.numbers | {conflict.column})
        return replace(self, read_as={**self.read_as, conflict.column: conflict.type})


def load_table(files: Sequence[tuple[TableFile, int | None]], settings: TableSettings, name: str) -> Rows:
    """Read a table.

    Args:
        files: Each with the part that its rows belong to, None where the files do not say.
        settings: What the user says of the columns.
        name: How the source is called in what is shown.

    Raises:
        InputError: The table cannot be used; the line and the column are named.
    """
    _check_settings(settings)
    texts = {column: "string" for column, kind in settings.types.items() if kind == "category"}
    plan = Plan(texts, frozenset(column for column, kind in settings.types.items() if kind == "number"))
    for _ in range(MAX_READINGS):
        reading = _Reading(files, settings, plan)
        for file, _ in files:
            file.skipped.clear()
        try:
            reading.read()
            rows, words = reading.finish()
        except Conflict as conflict:
            plan = plan.after(conflict)
            continue
        print(f"holdfast: {name}: {words}", file=sys.stderr, flush=True)
        return rows
    raise InputError("data.types", "cannot be inferred", next="data.types={COLUMN: category} for columns of texts")


class _Reading:
    """One pass over all files, and what has been seen so far."""

    def __init__(self, files: Sequence[tuple[TableFile, int | None]], settings: TableSettings, plan: Plan) -> None:
        self.files = files
        self.settings = settings
        self.plan = plan
        self.names: list[str] = []
        self.features: list[str] = []
        self.kinds: dict[str, str] = {}
        self.vocabularies: dict[str, Vocabulary] = {}
        self.taken: dict[str, list[NDArray[Any]]] = {}
        self.digests: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
        self.parts: list[NDArray[np.int8]] = []
        self.left_out: dict[str, int] = {}
        self.ranges = Ranges(0)
        self.spool: Spool | None = None

    # --- block by block --------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Take in all files."""
        for number, (file, part) in enumerate(self.files):
            row = 0
            for names, arrays in file.batches(self.plan.read_as):
                if not self.names:
                    _check_names(self.settings, names)
                    self.names = names
                elif set(names) != set(self.names):
                    self._refuse_other_names(file, names)
                if len(arrays[0]):
                    if self.spool is None:
                        self._start(names, arrays)
                    self._add(dict(zip(names, arrays, strict=True)), number, row, part)
                row += len(arrays[0])
            if file.skipped:
                self.left_out["have another number of cells"] = sum(len(file.skipped) for file, _ in self.files)

    def _start(self, names: list[str], arrays: list[Any]) -> None:
        settings = self.settings
        taken = {*settings.target, *filter(None, (settings.group, settings.time, settings.split_column))}
        dropped = {*settings.drop, *(column for column, kind in settings.types.items() if kind == "drop")}
        self.kinds = {name: kind_of(array.type) for name, array in zip(names, arrays, strict=True)}
        self.features = [name for name in names if name not in taken | dropped]
        if not self.features:
            raise InputError("data.drop", "leaves no column but the target", next=f"the columns are {_listed(names)}")
        raise_problems(
            [
                problem
                for name, array in zip(names, arrays, strict=True)
                if name not in dropped
                for problem in self._type_problems(name, array)
            ]
        )
        self.vocabularies = {name: Vocabulary() for name in [*self.features, *taken]}
        self.taken = {name: [] for name in taken}
        self.spool = Spool((len(self.features),), self.plan.dtype)
        self.ranges = Ranges(len(self.features))

    def _type_problems(self, name: str, array: Any) -> Iterator[Problem]:
        kind = self.kinds[name]
        if kind == "nested":
            advice = f"leave it out: data.drop=[{name}]"
            yield Problem(f"column {name!r}", f"holds {array.type}, which is no cell of a table", next=advice)
        if kind == "date" and name in self.settings.target:
            yield Problem("data.target", f"{name!r} holds dates", next="choose a column of classes or numbers")
        elif kind == "date" and name in self.features and self.settings.types.get(name) is None:
            example = str(array[0].as_py()) if len(array) else ""
            yield date_problem(name, example)

    def _refuse_other_names(self, file: TableFile, names: Sequence[str]) -> None:
        lacking, extra = sorted(set(self.names) - set(names)), sorted(set(names) - set(self.names))
        words = [f"has no {', no '.join(lacking)}"] if lacking else []
        words += [f"has {', '.join(extra)}"] if extra else []
        where = str(getattr(file, "path", "another file"))
        raise InputError("data.path", f"{where} {' and '.join(words)}, unlike the files before it")

    def _add(self, arrays: Mapping[str, Any], file: int, row: int, part: int | None) -> None:
        cells = {name: cells_of(arrays[name], self.settings.missing) for name in self.names if name in self._needed()}
        cells = {name: self._as_planned(name, column) for name, column in cells.items()}
        wrong = self._wrong(cells)
        if wrong:
            if not self.settings.skips:
                self._refuse(wrong, file, row)
            bad = np.logical_or.reduce([mask for _, _, mask in wrong])
            for _, reason, mask in wrong:
                self.left_out[reason] = self.left_out.get(reason, 0) + int(mask.sum())
            arrays = {name: array.filter(_arrow_mask(~bad)) for name, array in arrays.items()}
            cells = {name: column.of(~bad) for name, column in cells.items()}
            if bad.all():
                return
        self._append(cells, arrays, file, row, part)

    def _needed(self) -> set[str]:
        return {*self.features, *self.taken}

    def _as_planned(self, name: str, cells: Cells) -> Cells:
        """Texts that are numbers become numbers; dates that were declared as numbers are days since 1970."""
        if cells.kind == "text" and name in self.plan.numbers:
            values, is_stray = numbers_of(cells)
            if is_stray.any():  # told apart from a missing number by its infinite value and kept text
                return Cells("number", np.where(is_stray, np.nan, values), exact=is_stray)
            return Cells("number", values)
        return cells

    def _wrong(self, cells: Mapping[str, Cells]) -> list[tuple[str, str, NDArray[np.bool_]]]:
        """Columns, what is wrong with them, and in which rows."""
        found = []
        for name, column in cells.items():
            masks = []
            if column.exact is not None and column.exact.dtype == bool:
                masks.append((f"have a text among the numbers of {name!r}", column.exact))
            if column.kind != "text" and np.isinf(column.values).any():
                masks.append((f"have an infinite value in {name!r}", np.isinf(column.values)))
            if name in self.taken:
                absent = column.values < 0 if column.kind == "text" else np.isnan(column.values)
                masks.append((f"have no value in {name!r}", absent))
            if name == self.settings.split_column:
                words = np.array([text.lower() not in PART_WORDS for text in column.texts] + [False], bool)
                wrong = words[column.values] if column.kind == "text" else np.ones(len(column), bool)
                masks.append((f"say neither train, val nor test in {name!r}", wrong))
            found += [(name, reason, mask) for reason, mask in masks if mask.any()]
        return found

    def _refuse(self, wrong: Sequence[tuple[str, str, NDArray[np.bool_]]], file: int, row: int) -> None:
        problems = []
        for name, reason, mask in wrong:
            at = row + int(np.flatnonzero(mask)[0])
            problems.append(self._problem(name, reason, file, at))
        raise_problems(problems)

    def _problem(self, name: str, reason: str, file: int, row: int) -> Problem:
        source = self.files[file][0]
        place = f"{getattr(source, 'path', 'data')}, {source.place_of(row)}"
        singular = reason.replace("have ", "has ", 1).replace("say ", "says ", 1).partition(" in '")[0]
        singular = singular.partition(" of '")[0]
        text = self._text_at(name, file, row)
        shown = f" ({text[:60]!r})" if text else ""
        advice = "mend it, or leave such rows out: data.on_error=skip"
        if "text among" in reason:
            advice = (
                f"mend it; or data.missing=[{text[:30]}] if it means missing; or data.types={{{name}: category}}; or "
                "data.on_error=skip leaves such rows out"
            )
        where = "data.target" if name in self.settings.target else "data.path"
        return Problem(where, f"{place}, column {name!r}: {singular}{shown}", next=advice)

    def _text_at(self, name: str, file: int, row: int) -> str:
        """The cell as the source spells it."""
        seen = 0
        try:
            for names, arrays in self.files[file][0].batches({**self.plan.read_as, name: "string"}):
                count = len(arrays[0])
                if row < seen + count:
                    value = arrays[names.index(name)][row - seen].as_py()
                    return "" if value is None else str(value)
                seen += count
        except (Conflict, InputError):
            pass
        return ""

    def _append(
        self, cells: Mapping[str, Cells], arrays: Mapping[str, Any], file: int, row: int, part: int | None
    ) -> None:
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
        if self.plan.dtype == "float32" and self.ranges.needs_double(self._number_columns()):
            raise Conflict("", "float64")
        self.spool.append(block)
        for name, blocks in self.taken.items():
            column = cells[name]
            blocks.append(self._codes(name, column, file, row) if column.kind == "text" else column.values)
        self._add_digests(cells, arrays)
        self.parts.append(np.full(num_rows, TRAIN if part is None else part, np.int8))

    def _codes(self, name: str, column: Cells, file: int, row: int) -> NDArray[np.int64]:
        vocabulary = self.vocabularies[name]
        codes = vocabulary.codes(column, (file, row))
        if len(vocabulary) > MAX_CATEGORIES and name != self.settings.group:
            self._judge_texts(name)
            what = f"column {name!r} has more than {MAX_CATEGORIES:,} different texts: no category, an identifier"
            raise InputError("data.drop", what, next=f"data.drop=[{name}]")
        return codes

    def _add_digests(self, cells: Mapping[str, Cells], arrays: Mapping[str, Any]) -> None:
        """Digests are of all columns of the source, those that are left out included."""
        rest = [name for name in self.names if name not in cells and self.kinds[name] != "nested"]
        every = {**cells, **{name: cells_of(arrays[name], self.settings.missing) for name in rest}}
        canonical = {name: _plain(column) for name, column in every.items()}
        targets = set(self.settings.target)
        self.digests[0].append(table_digests({n: c for n, c in canonical.items() if n not in targets}))
        self.digests[1].append(table_digests(canonical))

    def _number_columns(self) -> list[int]:
        return [at for at, name in enumerate(self.features) if not len(self.vocabularies[name])]

    # --- all rows together -------------------------------------------------------------------------------------------

    def finish(self) -> tuple[Rows, str]:
        """The rows, and one line about them.

        Raises:
            Conflict: Something must be read in another way.
            InputError: The table as a whole cannot be used.
        """
        if not self.parts or self.spool is None:
            what = "no row is left" if self.left_out else "has a header and no rows"
            raise InputError("data.path", what + "".join(f"; {n} {reason}" for reason, n in self.left_out.items()))
        for name, vocabulary in self.vocabularies.items():
            if len(vocabulary) and (name in self.features or name in self.settings.target):
                self._judge_texts(name)
        target = self._target()
        notes = [*self._left_out_notes()]
        suspects = self._suspects()
        kept = [name for name in self.features if not (self.settings.drops_auto and name in suspects)]
        if not kept:
            raise InputError("data.drop", "auto leaves no column: " + ", ".join(suspects), next="data.drop=[NAMES]")
        advice = "left out" if self.settings.drops_auto else "data.drop=auto leaves it out"
        notes += [f"column {name!r} {why}: {advice}" for name, why in suspects.items()]
        columns, tables = self._columns(kept)
        rows = Recoded(self.spool, [self.features.index(name) for name in kept], tables)
        parts = self._parts()
        notes += _part_notes(parts)
        without, full = (_joined(blocks) for blocks in self.digests)
        return (
            Rows(
                x=rows[:] if rows.nbytes <= IN_MEMORY_BYTES else rows,
                y=target.y,
                task=target.task,
                kind="table",
                class_names=target.class_names,
                feature_names=tuple(kept),
                official_test=parts == TEST if parts is not None and (parts == TEST).any() else None,
                target_name=", ".join(self.settings.target),
                groups=self._groups(),
                times=self._times(),
                columns=columns,
                parts=parts,
                source_digests=without,
                full_digests=full,
                notes=tuple(notes),
            ),
            self._words(columns, target),
        )

    def _judge_texts(self, name: str) -> None:
        """Texts that are all numbers are numbers; a few texts among many numbers are mistakes."""
        if self.settings.types.get(name) == "category":
            return
        if name in self.settings.target and self.settings.task == "classes":
            return
        vocabulary = self.vocabularies[name]
        present = np.array([text != MISSING for text in vocabulary.texts])
        is_number = np.array([not np.isnan(as_number(text)) for text in vocabulary.texts]) & present
        total, numbers = int(vocabulary.counts[present].sum()), int(vocabulary.counts[is_number].sum())
        if name not in self.plan.read_as and total and numbers == 0:
            texts = [text for text in vocabulary.texts if text != MISSING]
            if name in self.features and all(map(looks_like_date, texts)):
                raise_problems([date_problem(name, texts[0], is_readable=False)])
        if not total or numbers < STRAY_SHARE * total:
            return
        if numbers == total or self.settings.skips:
            raise Conflict(name, "number")
        file, row = min(vocabulary.first[code] for code in np.flatnonzero(present & ~is_number).tolist())
        problem = self._problem(name, f"have a text among the numbers of {name!r}", file, row)
        raise_problems([replace(problem, what=f"{problem.what}: {total - numbers} of {total} cells are no numbers")])

    def _suspects(self) -> dict[str, str]:
        """Columns that say nothing, or who a row is."""
        num_rows = sum(map(len, self.parts))
        found = {}
        for index, name in enumerate(self.features):
            vocabulary = self.vocabularies[name]
            if self.ranges.is_constant(index):
                found[name] = "is the same in every row"
            elif num_rows < MIN_ROWS_OF_IDS:
                continue
            elif len(vocabulary) == num_rows:
                found[name] = "has a text of its own in every row"
            elif not len(vocabulary) and _is_named_id(name) and self._is_all_distinct(index):
                found[name] = "looks like an identifier"
        return found

    def _is_all_distinct(self, index: int) -> bool:
        assert self.spool is not None
        if not self.ranges.is_whole(index):
            return False
        values = np.concatenate([block[:, index] for block in self.spool.blocks()])
        return len(np.unique(values)) == len(values)

    def _columns(self, kept: Sequence[str]) -> tuple[tuple[Column, ...], dict[int, NDArray[np.int64]]]:
        columns, tables = [], {}
        for name in kept:
            vocabulary = self.vocabularies[name]
            if len(vocabulary):
                categories, tables[self.features.index(name)] = vocabulary.ranks()
                columns.append(Column(name, "category", categories))
            else:
                columns.append(Column(name, "number"))
        return tuple(columns), tables

    def _target(self) -> Target:
        values = [_joined(self.taken[name]) for name in self.settings.target]
        vocabularies = [self.vocabularies[name] for name in self.settings.target]
        return target_of(self.settings.target, values, vocabularies, self.settings.task)

    def _groups(self) -> NDArray[np.int64] | None:
        if self.settings.group is None:
            return None
        _, groups = np.unique(_joined(self.taken[self.settings.group]), return_inverse=True)
        return groups.astype(np.int64).reshape(-1)

    def _times(self) -> NDArray[np.float64] | None:
        name = self.settings.time
        if name is None:
            return None
        if len(self.vocabularies[name]):
            what = f"{name!r} holds texts ({self.vocabularies[name].texts[0]!r})"
            raise InputError(
                "data.time", what, allowed="numbers, or dates written as 2024-12-31 or 2024-12-31 23:59:59"
            )
        return _joined(self.taken[name])

    def _parts(self) -> NDArray[np.int8] | None:
        name = self.settings.split_column
        if name is not None:
            table = np.array([PART_WORDS[text.lower()] for text in self.vocabularies[name].texts], np.int8)
            parts: NDArray[np.int8] = table[_joined(self.taken[name])]
            return parts
        return _joined(self.parts) if any(part is not None for _, part in self.files) else None

    def _left_out_notes(self) -> list[str]:
        return [f"{count:,} rows left out: they {reason}" for reason, count in self.left_out.items() if count]

    def _words(self, columns: Sequence[Column], target: Target) -> str:
        numbers = [column.name for column in columns if column.type == "number"]
        categories = [f"{column.name} ({len(column.categories)})" for column in columns if column.type == "category"]
        kinds = [f"{len(numbers)} numbers: {_listed(numbers)}"] if numbers else []
        kinds += [f"{len(categories)} categories: {_listed(categories)}"] if categories else []
        return f"{sum(map(len, self.parts)):,} rows; {'; '.join(kinds)}; {target.words}"


def date_problem(name: str, example: str, *, is_readable: bool = True) -> Problem:
    """What to do with a column of dates."""
    shown = f" ({example})" if example else ""
    choices = f"data.types={{{name}: drop}} leaves it out"
    if is_readable:
        choices += f"; {{{name}: number}} takes days since 1970; data.time={name} is for split=time"
    else:
        choices += "; write dates as 2024-12-31 to use them"
    return Problem("data.types", f"column {name!r} holds dates{shown}, which no model takes as they are", next=choices)


def _check_settings(settings: TableSettings) -> None:
    wrong = {name: kind for name, kind in settings.types.items() if kind not in ("number", "category", "drop")}
    problems = [
        Problem(f"data.types.{name}", f"is {kind!r}", allowed="number, category, drop") for name, kind in wrong.items()
    ]
    if not settings.target:
        problems.append(Problem("data.target", "is not given", next="data.target=COLUMN names what is predicted"))
    raise_problems(problems)


def _check_names(settings: TableSettings, names: Sequence[str]) -> None:
    """Every column that a setting names must be there."""
    asked = [("data.target", name) for name in settings.target]
    asked += [("data.types", name) for name in settings.types] + [("data.drop", name) for name in settings.drop]
    asked += [
        (f"data.{key}", name)
        for key in ("group", "time", "split_column")
        if (name := getattr(settings, key)) is not None
    ]
    problems = [
        Problem(where, f"there is no column {name!r}", f"the columns are {_listed(names)}", _near(name, names))
        for where, name in asked
        if name not in names
    ]
    if len(names) == 1 and problems:
        advice = "is data.delimiter right? does the file have a first line of names?"
        problems = [replace(problem, next=problem.next or advice) for problem in problems]
    raise_problems(problems)


def _near(wrong: str, names: Sequence[str]) -> str:
    folded = {name.lower(): name for name in names}
    return f"did you mean '{folded[wrong.lower()]}'?" if wrong.lower() in folded else did_you_mean(wrong, names)


def _plain(column: Cells) -> Any:
    if column.exact is not None and column.exact.dtype == bool:
        return column.values
    return column.canonical()


def _part_notes(parts: NDArray[np.int8] | None) -> list[str]:
    if parts is None:
        return []
    counts = np.bincount(parts, minlength=3).tolist()
    return [
        f"the source declares {counts[TRAIN]:,} train, {counts[VAL]:,} val and {counts[TEST]:,} test rows; "
        "split=predefined keeps to that"
    ]


def _is_named_id(name: str) -> bool:
    folded = name.lower().replace("-", "_").replace(" ", "_")
    return (
        folded in ID_WORDS
        or folded.endswith(("_id", "_index", "_uuid"))
        or folded.startswith(("id_", "unnamed:"))
        or (name.endswith(("Id", "ID")) and not name.isupper())
    )


def _listed(names: Sequence[str], most: int = 12) -> str:
    words = ", ".join(names[:most])
    return words if len(names) <= most else f"{words}, ... ({len(names)} in all)"


def _joined(blocks: list[NDArray[Any]]) -> NDArray[Any]:
    joined = np.concatenate(blocks)
    blocks[:] = [joined]
    return joined


def _arrow_mask(mask: NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.array(mask)
