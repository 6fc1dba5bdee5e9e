"""From the train and val rows of a table to its view: types, categories and the width of its numbers, in two passes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.data.columns import MISSING, Column
from holdfast.data.tables.cells import is_code, is_dressed_number, is_like_number, numbers_of, texts_of
from holdfast.data.tables.column_types import STRAY_SHARE, ColumnFacts, type_of
from holdfast.data.tables.problems import INFINITE, STRAY, cell_problem, listed
from holdfast.data.tables.raw_table import RawTable
from holdfast.data.tables.settings import TableSettings
from holdfast.data.tables.value_ranges import Ranges
from holdfast.data.tables.view import TableView

Mask = NDArray[np.bool_]
MAX_CATEGORIES = 1_000_000
MIN_ROWS_OF_IDS = 10
ID_WORDS = ("id", "index", "uuid", "guid", "rowid", "row")


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
    numbers = [at for at, name in enumerate(features) if name not in categories]
    suspects = _suspects(table, features, categories, ranges, rows)
    kept = [name for name in features if not (settings.drops_auto and name in suspects)]
    if not kept:
        raise InputError("data.drop", "auto leaves no column: " + ", ".join(suspects), next="data.drop=[NAMES]")
    columns = tuple(_column(name, categories.get(name)) for name in kept)
    dtype = "float64" if ranges.needs_double(numbers) else "float32"
    view = TableView(columns, dtype, settings.missing)
    rows, notes = _readable(table, view, rows) if settings.skips else (rows, [])
    advice = "left out" if settings.drops_auto else "data.drop=auto leaves it out"
    notes += [f"column {name!r} {why}: {advice}" for name, why in suspects.items()]
    notes += [note for column in columns if column.type == "category" and (note := _text_note(column, settings))]
    print(f"holdfast: {_words(columns)}", file=sys.stderr, flush=True)
    return view, rows, notes


def rows_of(table: RawTable, rows: Mask, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Mask, Any]]:
    """Some rows of a table, block by block: the number of the block's first row, which are chosen, and these."""
    import pyarrow as pa

    for start, batch in table.blocks(columns):
        chosen = rows[start : start + batch.num_rows]
        if chosen.any():
            yield start, chosen, batch if chosen.all() else batch.filter(pa.array(chosen))


def _features(table: RawTable, settings: TableSettings) -> list[str]:
    left_out = {*settings.used, *settings.dropped}
    nested = {name: kind for name, kind in table.nested.items() if name not in left_out}
    raise_problems(
        [
            Problem(
                "data.path",
                f"column {name!r} holds {kind}, which is no cell of a table",
                next=f"data.drop=[{name}] leaves it out",
            )
            for name, kind in nested.items()
        ]
    )
    features = [name for name in table.names if name not in left_out]
    if not features:
        advice = f"the columns are {listed(table.names)}"
        raise InputError("data.drop", "leaves no column but the target", next=advice)
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
            numbers = numbers_of(batch.column(name), settings.missing)
            facts[name].add(batch.column(name), numbers, places, settings.missing)
            block[:, at] = numbers.values
            if name not in infinite and np.isinf(numbers.values).any():
                infinite[name] = int(places[np.isinf(numbers.values).argmax()])
        ranges.add(block)
    return facts, ranges, infinite


def _categories(table: RawTable, settings: TableSettings, names: Sequence[str], rows: Mask) -> dict[str, set[str]]:
    """The texts of each column; "" where a cell is missing."""
    categories: dict[str, set[str]] = {name: set() for name in names}
    for _, _, batch in rows_of(table, rows, names) if names else ():
        for name, texts in categories.items():
            codes, local = texts_of(batch.column(name), settings.missing)
            texts |= {MISSING if text in settings.missing else text for text in local}
            if (codes < 0).any():
                texts.add(MISSING)
            if len(texts) > MAX_CATEGORIES:
                problem = (
                    f"column {name!r} has more than {MAX_CATEGORIES:,} different texts: no category, an identifier"
                )
                raise InputError("data.drop", problem, next=f"data.drop=[{name}]")
    return categories


def _readable(table: RawTable, view: TableView, rows: Mask) -> tuple[Mask, list[str]]:
    """The rows of which all cells can be read, and notes on how many cannot."""
    kept, left_out = rows.copy(), dict[str, int]()
    for start, chosen, batch in rows_of(table, rows, [column.name for column in view.columns]):
        is_unreadable = view.rows(batch).is_unreadable
        if is_unreadable is None:
            continue
        kept[start + np.flatnonzero(chosen)[is_unreadable.any(axis=1)]] = False
        for at in np.flatnonzero(is_unreadable.any(axis=0)).tolist():
            name = view.columns[at].name
            is_text = numbers_of(batch.column(name), view.missing).is_text
            strays = 0 if is_text is None else int(is_text.sum())
            for reason, count in ((STRAY, strays), (INFINITE, int(is_unreadable[:, at].sum()) - strays)):
                words = f"{reason} in column {name!r}"
                left_out[words] = left_out.get(words, 0) + count
    if not kept.any():
        words = "; ".join(f"{count:,} rows with {reason}" for reason, count in left_out.items())
        raise InputError("data.path", f"no row is left ({words})", next="look at data.types")
    return kept, [f"{count:,} rows left out with {reason}" for reason, count in left_out.items() if count]


def _suspects(
    table: RawTable, features: Sequence[str], categories: dict[str, set[str]], ranges: Ranges, rows: Mask
) -> dict[str, str]:
    """Columns that say nothing, or who a row is."""
    num_rows, suspects = int(rows.sum()), {}
    for index, name in enumerate(features):
        texts = categories.get(name)
        if len(texts) == 1 if texts is not None else ranges.is_constant(index):
            suspects[name] = "is the same in every row"
        elif num_rows < MIN_ROWS_OF_IDS:
            continue
        elif texts is not None and len(texts) == num_rows:
            suspects[name] = "has a text of its own in every row"
        elif texts is None and _is_named_id(name) and ranges.is_whole(index) and _is_distinct(table, name, rows):
            suspects[name] = "looks like an identifier"
    return suspects


def _is_distinct(table: RawTable, name: str, rows: Mask) -> bool:
    blocks = [numbers_of(batch.column(0), ()).values for _, _, batch in rows_of(table, rows, [name])]
    values = np.concatenate(blocks)
    return len(np.unique(values)) == len(values)


def _column(name: str, texts: set[str] | None) -> Column:
    return Column(name, "number") if texts is None else Column(name, "category", tuple(sorted(texts)))


def _text_note(column: Column, settings: TableSettings) -> str:
    """A column of categories that a reader would take for numbers."""
    name, texts = column.name, [text for text in column.categories if text != MISSING]
    if name in settings.types or not texts:
        return ""
    dressed = next(filter(is_dressed_number, texts), None)
    if any(map(is_code, texts)) and all(map(str.isdecimal, texts)):
        advice = f"data.types={{{name}: number}} if not"
        return f"column {name!r} has leading zeros ({next(filter(is_code, texts))}): categories; {advice}"
    if dressed and sum(map(is_like_number, texts)) >= STRAY_SHARE * len(texts):
        return f"column {name!r} holds texts such as {dressed!r}: categories, unless written as plain numbers"
    if len(others := [text for text in texts if not is_like_number(text)]) == 1 < len(texts) - 1:
        advice = f"categories; data.types={{{name}: number}} data.missing=[{others[0]}] if that means missing"
        return f"column {name!r} holds numbers and {others[0]!r}: {advice}"
    return ""


def _words(columns: Sequence[Column]) -> str:
    numbers = [column.name for column in columns if column.type == "number"]
    categories = [f"{column.name} ({len(column.categories)})" for column in columns if column.type == "category"]
    kinds = [f"{len(numbers)} numbers: {listed(numbers)}"] if numbers else []
    return "; ".join(kinds + ([f"{len(categories)} categories: {listed(categories)}"] if categories else []))


def _is_named_id(name: str) -> bool:
    folded = name.lower().replace("-", "_").replace(" ", "_")
    return (
        folded in ID_WORDS
        or folded.endswith(("_id", "_index", "_uuid"))
        or folded.startswith(("id_", "unnamed:"))
        or (name.endswith(("Id", "ID")) and not name.isupper())
    )
