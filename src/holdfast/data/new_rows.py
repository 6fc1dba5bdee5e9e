"""New rows for a run, brought into the form in which its own rows are stored: block by block, with their ids."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.data.arrays import features_like
from holdfast.data.arrow import pa
from holdfast.data.formats import TABLE_SUFFIXES, format_of, images
from holdfast.data.formats.files import files_of
from holdfast.data.formats.images import CHANNELS, ImageForm
from holdfast.data.images import decoded, file_problems
from holdfast.data.sources import arrays
from holdfast.data.tables.cells import kind_of, raw_cells
from holdfast.data.tables.dates import PARTS
from holdfast.data.tables.settings import TableFile, as_names, listed
from holdfast.data.views import TableView, table_view_from_dict
from holdfast.vault import known_rows
from holdfast.vault.rows.identity import table_digests

WHERE = "--input"
ARRAY_ROWS = 4096


@dataclass(frozen=True, eq=False)
class NewRows:
    """A block of new rows."""

    x: NDArray[Any]  # (n, ...) as the run's own rows are stored
    # (n,) what each is called: the column that was asked for, the path of an image, or its number from 0
    ids: Sequence[Any]
    # (n, 16) digests each of what the file holds, in the forms in which a vault may know it beside `x`
    digests: Sequence[NDArray[np.uint8]] = ()


def read_like(
    description: Mapping[str, Any],
    paths: Path | str | Sequence[Path | str],
    *,
    id_column: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[NewRows]:
    """Read rows in the form of a run's.

    `description` is the field `data` of the run's record, and `settings` the group `data` of its config.

    Yields:
        Blocks of rows, in the order of the files.

    Raises:
        InputError: A file cannot be read, or does not have what the run needs.
    """
    given = [str(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    readers = {"table": _table_blocks, "image": _image_blocks, "array": _array_blocks}
    are_arrays = Path(given[0]).suffix.lower() in arrays.SUFFIXES
    read = readers["array" if are_arrays else description["kind"]]
    if id_column is not None and read is not _table_blocks:
        raise InputError("--id", f"is {id_column!r}, and these rows have no columns", next="leave it out")
    try:
        yield from read(description, given, id_column, settings or {})
    except InputError as error:
        raise_problems([_as_input(problem) for problem in error.problems])


def _as_input(problem: Problem) -> Problem:
    """A problem of a source's, without the settings that new rows have not: they are read as the run's own were."""
    is_setting = problem.where.startswith("data.")
    advice = "mend the file, or write it as the run's own" if "data." in problem.next else problem.next
    return replace(problem, where=WHERE if is_setting else problem.where, next=advice)


# --- tables ----------------------------------------------------------------------------------------------------------


def _table_blocks(
    description: Mapping[str, Any], paths: Sequence[str], id_column: str | None, settings: Mapping[str, Any]
) -> Iterator[NewRows]:
    is_table = description["view"]["form"] == "table"  # one that came as arrays has its columns as they are stored
    view = table_view_from_dict(description["view"] if is_table else description)
    left_out = {*as_names(settings.get("target")), *as_names(id_column)}
    lists = known_rows.column_lists()
    done, unknown = 0, np.zeros(len(view.columns), np.int64)
    for path in files_of(paths, WHERE, TABLE_SUFFIXES):
        open_table = format_of(path).open_table  # as the run's own files were read, where it is of their format
        own = inspect.signature(open_table).parameters.keys() - {"path", "skips"}
        known = {key: str(value) for key, value in {**settings, **view.reading}.items() if value is not None}
        file: TableFile = open_table(path, **{key: known[key] for key in own & known.keys()})
        row = 0
        for number, (names, blocks) in enumerate(file.batches()):
            if number == 0:
                origins = dict.fromkeys(column.origin for column in view.columns)
                _check_names(path, names, [*origins, *as_names(id_column)])
            columns = dict(zip(names, blocks, strict=True))
            count = len(blocks[0])
            if not count:
                continue
            viewed = view.rows(pa.record_batch(blocks, names))
            if viewed.is_unreadable is not None:
                place, at = np.argwhere(viewed.is_unreadable)[0].tolist()
                _refuse_cell(f"{path}, {file.place_of(row + place)}", view, at, columns[view.columns[at].origin], place)
            unknown += viewed.unknown
            ids = range(done, done + count) if id_column is None else columns[id_column].to_pylist()
            ids = [None if text == "" else text for text in ids]
            yield NewRows(viewed.x, ids, _source_forms(columns, lists, left_out))
            row, done = row + count, done + count
    for column, cells in zip(view.columns, unknown.tolist(), strict=True):
        if cells:
            message = f"{cells:,} of {done:,} rows have a category that the run does not know"
            print(f"holdfast: column {column.name!r}: {message}", file=sys.stderr, flush=True)


def _check_names(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a file without the columns that are wanted, and tell of others."""
    if lacking := [repr(name) for name in wanted if name not in names]:
        hint = did_you_mean(lacking[0][1:-1], names) or f"its columns are {listed(names)}"
        raise InputError(WHERE, f"{path} has no column {listed(lacking)}, which the run needs", next=hint)
    if ignored := [name for name in names if name not in wanted]:
        print(f"holdfast: {path}: columns that are not used: {listed(ignored)}", file=sys.stderr, flush=True)


def _refuse_cell(place: str, view: TableView, at: int, array: Any, row: int) -> NoReturn:
    name, words = view.columns[at].origin, "dates" if view.columns[at].part in PARTS else "numbers"
    if kind_of(array.type) == "nested":
        raise InputError(WHERE, f"{place}, column {name!r}: holds {array.type}, which is no cell of a table")
    cells = view.cells(view.columns[at], array)
    if cells.is_text[row]:
        text = str(array[row].as_py()).strip()
        raise InputError(WHERE, f"{place}, column {name!r}: is {text!r}, the run has {words} there")
    raise InputError(WHERE, f"{place}, column {name!r}: is infinite as {view.dtype}")


def _source_forms(
    columns: Mapping[str, Any], lists: Collection[Sequence[str]], left_out: Collection[str]
) -> list[NDArray[np.uint8]]:
    """Digests over the columns that the rows of vaults in force are known by, whichever of them the run needs.

    The empty one of these `lists` stands for all columns of a table without names, but those that are no features.
    """
    cells = {name: raw_cells(array) for name, array in columns.items() if kind_of(array.type) != "nested"}
    features = [name for name in cells if name not in left_out]
    wanted = {tuple(names or features) for names in lists if set(names) <= cells.keys()}
    return [table_digests({name: cells[name] for name in names}) for names in wanted if names]


# --- images and arrays -----------------------------------------------------------------------------------------------


def _image_blocks(
    description: Mapping[str, Any], paths: Sequence[str], id_column: str | None, settings: Mapping[str, Any]
) -> Iterator[NewRows]:
    """Files are brought to the run's size and mode; their ids are their paths below the folder that was named."""
    height, width, channels = description["row_shape"]
    mode: Any = next(mode for mode, count in CHANNELS.items() if count == channels)
    form = ImageForm(mode, (height, width), settings.get("fit") or "stretch")
    files, ids = list[Path](), list[str]()
    for path in paths:
        given, below = Path(path).expanduser(), files_of(path, WHERE, images.SUFFIXES)
        files += below
        ids += [str(file.relative_to(given)) if given.is_dir() else str(file) for file in below]
    problems: list[tuple[str, str]] = []
    for chunk in decoded(files, form):
        problems += [(ids[place], problem) for place, problem in chunk.problems]
        if not problems:
            forms = [chunk.digests, chunk.bytes_digests]
            yield NewRows(chunk.pixels, [ids[place] for place in chunk.good.tolist()], forms)
    raise_problems(file_problems(problems, WHERE, may_skip=False))


def _array_blocks(
    description: Mapping[str, Any], paths: Sequence[str], id_column: str | None, settings: Mapping[str, Any]
) -> Iterator[NewRows]:
    """Arrays are brought to the run's layout and numbers; their ids are the numbers of their rows."""
    done = 0
    for file in files_of(paths, WHERE, arrays.SUFFIXES):
        features = arrays.features_of(arrays.read_arrays(file, WHERE), settings.get("x_key"))
        x = features_like(features, description, settings.get("layout") or "auto", WHERE)
        for start in range(0, len(x), ARRAY_ROWS):
            block = np.asarray(x[start : start + ARRAY_ROWS])
            yield NewRows(block, range(done, done + len(block)))
            done += len(block)
