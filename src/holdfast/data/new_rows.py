"""New rows for a run, brought into the form in which its own rows are stored: block by block, with their ids."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.data.arrays.rows import features_like
from holdfast.data.columns import MISSING, UNSEEN, Column, column_from_dict
from holdfast.data.formats import csv, images, jsonl, parquet
from holdfast.data.formats.csv import DECIMAL_WORDS, DELIMITER_WORDS
from holdfast.data.formats.files import COMPRESSED, files_of
from holdfast.data.formats.images import CHANNELS, ImageForm
from holdfast.data.formats.types import Conflict
from holdfast.data.images.read import decoded, listed
from holdfast.data.sources import arrays
from holdfast.data.tables.cells import MISSING_TEXTS, as_number, cells_of, is_sentinel, kind_of, numbers_of
from holdfast.data.tables.files import as_names
from holdfast.data.tables.scan import says_parts
from holdfast.data.tables.settings import TableFile
from holdfast.vault import known_rows
from holdfast.vault.rows.identity import table_digests

WHERE = "--input"
ARRAY_ROWS = 4096


@dataclass(frozen=True, eq=False)
class NewRows:
    """Some new rows.

    Attributes:
        x: (n, ...) as the run's own rows are stored.
        ids: (n,) what each is called: the column that was asked for, the path of an image, or its number from 0.
        digests: (n, 16) digests each of what the file holds, in the forms in which a vault may know it beside `x`.
    """

    x: NDArray[Any]
    ids: Sequence[Any]
    digests: Sequence[NDArray[np.uint8]] = ()


def read_like(
    description: Mapping[str, Any],
    paths: Path | str | Sequence[Path | str],
    *,
    id_column: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[NewRows]:
    """Read rows in the form of a run's.

    Args:
        description: The field `data` of the run's record.
        paths: Files or folders.
        id_column: The column of a table that names its rows.
        settings: The group `data` of the run's config: how its files were read.

    Yields:
        Blocks of rows, in the order of the files.

    Raises:
        InputError: A file cannot be read, or does not have what the run needs.
    """
    given = [str(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    read = {"table": _table_blocks, "image": _image_blocks, "array": _array_blocks}[description["kind"]]
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
    if Path(paths[0]).suffix.lower() in arrays.SUFFIXES:
        yield from _array_blocks(description, paths, id_column, settings)
        return
    columns = [column_from_dict(column) for column in description["columns"]]
    missing = frozenset((*MISSING_TEXTS, *as_names(settings.get("missing"))))
    dtype = np.dtype(description["dtype"])
    optional = [as_names(settings.get("target")), as_names(id_column)]
    lists = known_rows.column_lists()
    done, unknown = 0, np.zeros(len(columns), np.int64)
    is_category = np.array([column.type == "category" for column in columns], bool)
    for path in files_of(paths, WHERE, (*csv.SUFFIXES, *parquet.SUFFIXES, *jsonl.SUFFIXES)):
        file = _open_table(path, settings, missing)
        for start, found in _selected(file, path, columns, id_column):
            count = len(next(iter(found.values())))
            x = np.empty((count, len(columns)), dtype)

            def place_of(row: int, file: TableFile = file, path: Path = path, start: int = start) -> str:
                return f"{path}, {file.place_of(start + row)}"

            for index, column in enumerate(columns):
                with np.errstate(over="ignore"):
                    x[:, index] = _stored(found[column.name], column, missing, place_of)
                if np.isinf(x[:, index]).any():
                    place = place_of(int(np.flatnonzero(np.isinf(x[:, index]))[0]))
                    raise InputError(WHERE, f"{place}, column {column.name!r}: is infinite as {dtype}")
            unknown += ((x == UNSEEN) & is_category).sum(axis=0)
            ids = range(done, done + count) if id_column is None else found[id_column].to_pylist()
            yield NewRows(x, ids, _source_forms(found, missing, optional, lists))
            done += count
    for column, cells in zip(columns, unknown.tolist(), strict=True):
        if cells:
            what = f"{cells:,} of {done:,} rows have a category that the run does not know"
            print(f"holdfast: column {column.name!r}: {what}", file=sys.stderr, flush=True)


def _open_table(path: Path, settings: Mapping[str, Any], missing: frozenset[str]) -> TableFile:
    name = path.name.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    if name.endswith(parquet.SUFFIXES):
        return parquet.ParquetFile(path)
    if name.endswith(jsonl.SUFFIXES):
        return jsonl.JsonlFile(path)
    delimiter, decimal = (str(settings.get(key) or "auto") for key in ("delimiter", "decimal"))
    delimiter, decimal = DELIMITER_WORDS.get(delimiter, delimiter), DECIMAL_WORDS.get(decimal, decimal)
    return csv.CsvFile(path, delimiter, decimal, str(settings.get("encoding") or "utf-8"), tuple(missing))


def _selected(
    file: TableFile, path: Path, columns: Sequence[Column], id_column: str | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """All columns, some rows at a time, each time with the number of the first row in the file."""
    wanted = [column.name for column in columns] + ([] if id_column is None else [id_column])
    types = {column.name: "string" for column in columns if column.type == "category"}
    if id_column is not None and id_column not in types:
        types[id_column] = "string"
    done, is_told = 0, False
    while True:
        row = 0
        try:
            for names, arrays in file.batches(types):
                _check_names(path, names, wanted)
                if not is_told:
                    _tell_ignored(path, names, wanted)
                    is_told = True
                start, row = row, row + len(arrays[0])
                if row > done:  # else: read before, under types that did not hold later
                    skipped = max(0, done - start)
                    found = dict(zip(names, arrays, strict=True))
                    yield start + skipped, {name: array.slice(skipped) for name, array in found.items()}
                    done = row
            return
        except Conflict as conflict:
            if conflict.column and types.get(conflict.column) == conflict.type:
                raise InputError(WHERE, f"{path}: column {conflict.column!r} cannot be read") from None
            types[conflict.column] = conflict.type


def _check_names(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    lacking = [name for name in wanted if name not in names]
    if lacking:
        shown = ", ".join(map(repr, lacking[:10])) + (f" and {len(lacking) - 10} others" if len(lacking) > 10 else "")
        hint = did_you_mean(lacking[0], names) or f"its columns are {', '.join(names[:12])}"
        raise InputError(WHERE, f"{path} has no column {shown}, which the run needs", next=hint)


def _tell_ignored(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    ignored = [name for name in names if name not in wanted]
    if ignored:
        shown = ", ".join(ignored[:8]) + (", ..." if len(ignored) > 8 else "")
        print(f"holdfast: {path}: {len(ignored)} columns are not used: {shown}", file=sys.stderr, flush=True)


def _source_forms(
    found: Mapping[str, Any],
    missing: frozenset[str],
    optional: Sequence[Sequence[str]],
    lists: Collection[Sequence[str]],
) -> list[NDArray[np.uint8]]:
    """Digests of all columns of a file: a vault knows rows by those, whichever of them the run needs.

    Args:
        found: Arrays by column.
        missing: Texts that mean a missing cell; numbers among them are no part of what a row is.
        optional: Columns that a vault may know the rows with or without, as those that say parts: targets, names.
        lists: The columns that rows of vaults in force are known by.
    """
    words = [text for text in missing if not is_sentinel(text)]
    cells = {name: cells_of(array, words) for name, array in found.items() if kind_of(array.type) != "nested"}
    parts = [name for name, column in cells.items() if says_parts(column)]
    columns = {name: column.canonical() for name, column in cells.items()}
    kept = {frozenset(columns)}
    for names in (parts, *optional):
        kept |= {one - set(names) for one in kept}
    kept |= {frozenset(names) for names in lists if set(names) <= columns.keys()}
    return [table_digests({name: columns[name] for name in one}) for one in kept if one]


def _stored(array: Any, column: Column, missing: frozenset[str], place_of: Callable[[int], str]) -> NDArray[np.float64]:
    """(n,) The cells of a column as the run stores them; `place_of` says where a row stands."""
    if kind_of(array.type) == "nested":
        raise InputError(
            WHERE, f"{place_of(0)}, column {column.name!r}: holds {array.type}, which is no cell of a table"
        )
    if column.type == "category":
        import pyarrow as pa

        cells = cells_of(array if kind_of(array.type) == "text" else array.cast(pa.string()), missing)
        table = np.array(_codes_of([*cells.texts, MISSING], column), float)
        codes: NDArray[np.float64] = table[cells.values]
        return codes
    cells = cells_of(array, missing)
    values = cells.values
    if cells.kind == "text":
        values, is_stray = numbers_of(cells)
        if is_stray.any():
            row = int(np.flatnonzero(is_stray)[0])
            what = f"{place_of(row)}, column {column.name!r}: is "
            raise InputError(WHERE, f"{what}{cells.texts[int(cells.values[row])]!r}, the run has numbers there")
    return values


def _codes_of(texts: Sequence[str], column: Column) -> list[int]:
    """The codes of texts; one that is unknown is the only category that is the same number: 1.0 is 1, 01 is not."""
    code_of = {text: code for code, text in enumerate(column.categories)}
    known: dict[float, list[int]] = {}
    for text in filter(_is_plain, code_of):
        known.setdefault(as_number(text), []).append(code_of[text])
    alike = {text: codes[0] for text in filter(_is_plain, texts) if len(codes := known.get(as_number(text), [])) == 1}
    return [code_of.get(text, alike.get(text, UNSEEN)) for text in texts]


def _is_plain(text: str) -> bool:
    """Whether a text is a number that may be spelled in another way: 1 and 1.0, but not 01, which is a code."""
    return not np.isnan(as_number(text)) and not (text[0] == "0" and text.isdecimal() and len(text) > 1)


# --- images and arrays -----------------------------------------------------------------------------------------------


def _image_blocks(
    description: Mapping[str, Any], paths: Sequence[str], id_column: str | None, settings: Mapping[str, Any]
) -> Iterator[NewRows]:
    """Files are brought to the run's size and mode; their ids are their paths below the folder that was named."""
    if Path(paths[0]).suffix.lower() in arrays.SUFFIXES:
        yield from _array_blocks(description, paths, id_column, settings)
        return
    _refuse_ids(id_column)
    height, width, channels = description["row_shape"]
    mode: Any = next(mode for mode, count in CHANNELS.items() if count == channels)
    form = ImageForm(mode, (height, width), settings.get("fit") or "stretch")
    files, ids = _image_files(paths)
    problems: list[tuple[str, str]] = []
    for found in decoded(files, form):
        problems += [(ids[place], what) for place, what in found.problems]
        if not problems:
            own = [] if found.digests is None else [found.digests]
            yield NewRows(found.pixels, [ids[place] for place in found.good.tolist()], own)
    raise_problems(listed(problems, WHERE, may_skip=False))


def _image_files(paths: Sequence[str]) -> tuple[list[Path], list[str]]:
    files, ids = [], []
    for path in paths:
        given = Path(path).expanduser()
        below = files_of(path, WHERE, images.SUFFIXES)
        files += below
        ids += [str(file.relative_to(given)) if given.is_dir() else str(file) for file in below]
    return files, ids


def _array_blocks(
    description: Mapping[str, Any], paths: Sequence[str], id_column: str | None, settings: Mapping[str, Any]
) -> Iterator[NewRows]:
    """Arrays are brought to the run's layout and numbers; their ids are the numbers of their rows."""
    _refuse_ids(id_column)
    done = 0
    for file in files_of(paths, WHERE, arrays.SUFFIXES):
        found = arrays.features_of(arrays.read_arrays(file, WHERE), settings.get("x_key"))
        x = features_like(
            found,
            kind=description["kind"],
            row_shape=tuple(description["row_shape"]),
            dtype=np.dtype(description["dtype"]),
            layout=settings.get("layout") or "auto",
            pixel_scale=description.get("pixel_scale"),
            where=WHERE,
        )
        for start in range(0, len(x), ARRAY_ROWS):
            block = np.asarray(x[start : start + ARRAY_ROWS])
            yield NewRows(block, range(done, done + len(block)))
            done += len(block)


def _refuse_ids(id_column: str | None) -> None:
    if id_column is not None:
        raise InputError("--id", f"is {id_column!r}, and these rows have no columns", next="leave it out")
