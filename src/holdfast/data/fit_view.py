"""The view of a table, by its train and val rows: types, categories, dates and the width of its numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.advice import column_type
from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.data.arrow import pa
from holdfast.data.columns import MISSING, Column, Ranges
from holdfast.data.tables.cells import amounts_of, dates_of, numbers_of, texts_of
from holdfast.data.tables.column_types import (
    ColumnFacts,
    as_numbers,
    date_note,
    looks_like_id,
    order_of,
    says_nothing,
    text_note,
    type_of,
)
from holdfast.data.tables.dates import ELAPSED, PARTS, part_of
from holdfast.data.tables.raw_table import RawTable, cell_problem
from holdfast.data.tables.settings import INFINITE, STRAY, TableSettings, listed
from holdfast.data.views import AMOUNT, TableView

Mask = NDArray[np.bool_]
MAX_CATEGORIES = 1_000_000
MIN_ROWS_OF_IDS = 10


def fit_view(table: RawTable, settings: TableSettings, rows: Mask) -> tuple[TableView, Mask, list[str]]:
    """The view of a table, which of its rows it takes, and notes; train and val rows alone are looked at.

    Raises:
        InputError: A column is no column of a table, or a cell cannot be read and may not be skipped.
    """
    features = _features(table, settings)
    facts, ranges, infinite = _look(table, settings, features, rows)
    types = {name: type_of(name, facts[name], settings, table) for name in features}
    problems = [problem for problem in types.values() if isinstance(problem, Problem)]
    if not settings.skips:
        places = {name: row for name, row in infinite.items() if types[name] == "number"}
        problems += [cell_problem(settings, table, name, row, INFINITE) for name, row in places.items()]
    raise_problems(problems)
    categories = _categories(table, settings, [name for name in features if types[name] == "category"], rows)
    left_out = _texts_left_out(settings, categories, int(rows.sum()))
    suspects = _suspects(table, types, categories, ranges, rows)
    suspects = {name: why for name, why in suspects.items() if name not in left_out}
    kept = [name for name in features if name not in left_out and not (settings.drops_auto and name in suspects)]
    if not kept:
        words = "; ".join(f"{name!r} {why}" for name, why in (left_out | suspects).items())
        advice = column_type(next(iter(left_out)), "category") if left_out else "data.drop=null"
        raise InputError("data.drop", f"no column is left: {words}", next=advice)
    columns = [column for name in kept for column in _columns(table, settings, facts[name], name, rows)]
    columns = [replace(column, categories=tuple(sorted(categories.get(column.name, ())))) for column in columns]
    numbers = [at for at, name in enumerate(features) if types[name] == "number" and name in kept]
    dtype = "float64" if ranges.needs_double(numbers) else "float32"
    view = TableView(_named_apart(columns), dtype, settings.missing, table.files[0].reading())
    rows, notes = _readable(table, view, rows) if settings.skips else (rows, [])
    for name, why in left_out.items():
        advice = as_numbers(name, sorted(categories[name])) or f"{column_type(name, 'category')} keeps it"
        notes.append(f"column {name!r} {why}: left out; {advice}")
    advice = "left out" if settings.drops_auto else "data.drop=auto leaves it out"
    notes += [f"column {name!r} {why}: {advice}" for name, why in suspects.items()]
    notes += [date_note(name, facts[name]) for name in kept if types[name] == "date"]
    notes += [text_note(name, categories[name]) for name in kept if name in categories and name not in settings.types]
    print(f"holdfast: {_words(view.columns)}", file=sys.stderr, flush=True)
    return view, rows, [note for note in notes if note]


def rows_of(table: RawTable, rows: Mask, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Mask, Any]]:
    """Chosen rows of a table, block by block: the number of the block's first row, a mask of its rows, the chosen."""
    for start, batch in table.blocks(columns):
        chosen = rows[start : start + batch.num_rows]
        if chosen.any():
            yield start, chosen, batch if chosen.all() else batch.filter(pa.array(chosen))


def _features(table: RawTable, settings: TableSettings) -> list[str]:
    left_out = {*settings.used, *settings.dropped}
    problems = []
    for name in table.nested.keys() - left_out:
        message = f"column {name!r} holds {table.nested[name]}, which is no cell of a table"
        problems.append(Problem("data.path", message, next=f"{column_type(name, 'drop')} leaves it out"))
    raise_problems(problems)
    features = [name for name in table.names if name not in left_out]
    if not features:
        raise InputError("data.drop", "leaves no column but the target", next=f"the columns are {listed(table.names)}")
    return features


def _look(
    table: RawTable, settings: TableSettings, features: Sequence[str], rows: Mask
) -> tuple[dict[str, ColumnFacts], Ranges, dict[str, int]]:
    """The facts of each feature's cells, their ranges, and the row of the first infinite one."""
    facts = {name: ColumnFacts() for name in features}
    ranges, infinite = Ranges(len(features)), dict[str, int]()
    for start, chosen, batch in rows_of(table, rows, features):
        places = start + np.flatnonzero(chosen)
        block = np.full((batch.num_rows, len(features)), np.nan)
        for at, name in enumerate(features):
            read = amounts_of if settings.types.get(name) == "number" else numbers_of
            numbers = read(batch.column(name), settings.missing)
            facts[name].add(batch.column(name), numbers, places, settings.missing)
            block[:, at] = numbers.values
            if name not in infinite and np.isinf(numbers.values).any():
                infinite[name] = int(places[np.isinf(numbers.values).argmax()])
        ranges.add(block)
    return facts, ranges, infinite


def _categories(table: RawTable, settings: TableSettings, names: Sequence[str], rows: Mask) -> dict[str, set[str]]:
    """The texts of each column, no more than a few beyond `MAX_CATEGORIES`; "" where a cell is missing."""
    categories: dict[str, set[str]] = {name: set() for name in names}
    for _, _, batch in rows_of(table, rows, names) if names else ():
        for name, texts in categories.items():
            if len(texts) > MAX_CATEGORIES:
                continue
            codes, local = texts_of(batch.column(name), settings.missing)
            texts |= {MISSING if text in settings.missing else text for text in local}
            if (codes < 0).any():
                texts.add(MISSING)
    return categories


def _texts_left_out(settings: TableSettings, categories: Mapping[str, set[str]], num_rows: int) -> dict[str, str]:
    """Columns of texts that are no categories, and why, unless the user says that they are."""
    reasons = {}
    for name, texts in categories.items():
        if len(texts) > MAX_CATEGORIES:
            reasons[name] = f"has more than {MAX_CATEGORIES:,} different texts"
        elif settings.types.get(name) == "category" or num_rows < MIN_ROWS_OF_IDS:
            continue
        elif reason := says_nothing(texts, num_rows):
            reasons[name] = reason
    return reasons


def _columns(table: RawTable, settings: TableSettings, facts: ColumnFacts, name: str, rows: Mask) -> list[Column]:
    """The columns of the view that one of the table becomes: of dates, all parts that are not the same in every row."""
    type, asks_number = type_of(name, facts, settings, table), settings.types.get(name) == "number"
    if type == "category":
        return [Column(name, "category")]
    if type == "number":
        has_units = asks_number and not facts.is_typed
        return [Column(name, "number", source=name, part=AMOUNT) if has_units else Column(name, "number")]
    order = str(order_of(name, facts, settings))
    if asks_number:
        return [Column(name, "number", source=name, part=ELAPSED, order=order)]
    ranges = Ranges(len(PARTS))
    for _, _, batch in rows_of(table, rows, [name]):
        days = dates_of(batch.column(0), settings.missing, order).values
        ranges.add(np.column_stack([part_of(days, part) for part in PARTS]))
    parts = [part for at, part in enumerate(PARTS) if part == ELAPSED or not ranges.is_single(at)]
    return [Column(f"{name}: {part}", "number", source=name, part=part, order=order) for part in parts]


def _named_apart(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns, each with a name of its own: a part of a date may be called like a column of the table."""
    taken = {column.name for column in columns if column.name == column.origin}
    return tuple(
        replace(column, name=f"{column.name} (part)") if column.name in taken - {column.origin} else column
        for column in columns
    )


def _readable(table: RawTable, view: TableView, rows: Mask) -> tuple[Mask, list[str]]:
    """The rows of which all cells can be read, and notes on how many cannot."""
    kept, left_out = rows.copy(), dict[str, int]()
    columns = {column.origin: at for at, column in enumerate(view.columns)}  # of several parts of a date the last
    for start, chosen, batch in rows_of(table, rows, list(columns)):
        is_unreadable = view.rows(batch).is_unreadable
        if is_unreadable is None:
            continue
        kept[start + np.flatnonzero(chosen)[is_unreadable.any(axis=1)]] = False
        for name, at in columns.items():
            if not is_unreadable[:, at].any():
                continue
            strays = int(view.cells(view.columns[at], batch.column(name)).is_text.sum())
            for reason, count in ((STRAY, strays), (INFINITE, int(is_unreadable[:, at].sum()) - strays)):
                words = f"{reason} in column {name!r}"
                left_out[words] = left_out.get(words, 0) + count
    if not kept.any():
        words = "; ".join(f"{count:,} rows with {reason}" for reason, count in left_out.items())
        raise InputError("data.path", f"no row is left ({words})", next="look at data.types")
    return kept, [f"{count:,} rows left out with {reason}" for reason, count in left_out.items() if count]


def _suspects(
    table: RawTable, types: Mapping[str, Any], categories: Mapping[str, set[str]], ranges: Ranges, rows: Mask
) -> dict[str, str]:
    """Columns that say nothing, or whose numbers say who a row is."""
    suspects = {}
    for at, (name, type) in enumerate(types.items()):
        is_constant = ranges.is_constant(at) if type == "number" else len(categories.get(name, ())) == 1
        if is_constant:
            suspects[name] = "is the same in every row"
        elif type == "number" and rows.sum() >= MIN_ROWS_OF_IDS and looks_like_id(name) and ranges.is_whole(at):
            values = np.concatenate([numbers_of(b.column(0), ()).values for _, _, b in rows_of(table, rows, [name])])
            if len(np.unique(values)) == len(values):
                suspects[name] = "looks like an identifier"
    return suspects


def _words(columns: Sequence[Column]) -> str:
    numbers = [column.name for column in columns if column.type == "number"]
    categories = [f"{column.name} ({len(column.categories)})" for column in columns if column.type == "category"]
    kinds = {"numbers": numbers, "categories": categories}
    return "; ".join(f"{len(names)} {kind}: {listed(names)}" for kind, names in kinds.items() if names)
