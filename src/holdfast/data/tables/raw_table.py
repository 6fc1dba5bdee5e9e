"""A table as its files hold it: all columns, raw cells, in an encrypted spool that is read block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.advice import column_type, setting
from holdfast.core.errors import Problem
from holdfast.data.arrow import pa
from holdfast.data.encrypted_spool import Spool
from holdfast.data.rows import Order, ipc_stream, windows
from holdfast.data.tables.cells import kind_of
from holdfast.data.tables.settings import TableFile, TableSettings
from holdfast.vault.rows.canonical_cells import MISSING_TEXTS

PIECE_BYTES = 4 * 2**20  # of one sealed piece
GATHER_BYTES = 64 * 2**20  # rows that are gathered by one pass over the table


class RawTable:
    """Rows that are appended block by block and then read in order, or gathered in any."""

    def __init__(self, files: Sequence[TableFile]) -> None:
        self.files = list(files)  # what the rows come from
        # the columns, in the order of the first file; those that hold lists or objects are not among them
        self.names: list[str] = []
        self.nested: dict[str, str] = {}  # the columns that hold lists or objects, with their type
        self._spool = Spool((), np.uint8)
        self._ends: list[int] = []  # of each block in the spool
        self._starts: list[int] = []  # first row of each block
        self._origins: list[tuple[int, int]] = []  # file of each block, and its first row in there
        self._types: dict[str, Any] = {}
        self._num_read = 0
        self._kept: NDArray[np.bool_] | None = None
        self._read_sha256 = hashlib.sha256()

    def __len__(self) -> int:
        return self._num_read if self._kept is None else int(self._kept.sum())

    @property
    def nbytes(self) -> int:
        """The size of all rows as they were read."""
        return self._spool.nbytes

    @property
    def sha256(self) -> str:
        """The SHA-256 over every cell as it was read, in their order, and over which rows are kept."""
        total = self._read_sha256.copy()
        total.update(b"" if self._kept is None else np.packbits(self._kept).tobytes())
        return total.hexdigest()

    @property
    def layout(self) -> dict[str, Any]:
        """The layout of a sealed piece of the table, as JSON."""
        return {"form": "table", "rows": len(self), "columns": {name: str(self._types[name]) for name in self.names}}

    def append(self, names: Sequence[str], arrays: Sequence[Any], *, file: int, row: int) -> None:
        """Add some rows: one array of pyarrow's a column; `row` is the number of the first in its file."""
        columns = dict(zip(names, arrays, strict=True))
        self.nested |= {name: str(array.type) for name, array in columns.items() if kind_of(array.type) == "nested"}
        plain = {name: array for name, array in columns.items() if name not in self.nested}
        if not self._starts:
            self.names = list(plain)
        self.names = [name for name in self.names if name not in self.nested]
        if not len(arrays[0]):
            return
        plain = {name: _plain(array) for name, array in plain.items()}
        for name, array in plain.items():
            self._types[name] = _wider(self._types.get(name, array.type), array.type)
        batch = pa.record_batch(list(plain.values()), list(plain))
        content = np.frombuffer(ipc_stream(batch), np.uint8)
        self._read_sha256.update(content.data)
        self._spool.append(content)
        self._ends.append(len(self._spool))
        self._starts.append(self._num_read)
        self._origins.append((file, row))
        self._num_read += batch.num_rows

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Leave out all rows but some of those that were read."""
        self._kept = rows

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Any]]:
        """Record batches of pyarrow's in order, each with the number of its first row."""
        done, begin = 0, 0
        for start, end in zip(self._starts, self._ends, strict=True):
            with pa.ipc.open_stream(pa.py_buffer(self._spool[begin:end])) as reader:
                batch = reader.read_next_batch()
            begin = end
            known = dict(zip(batch.schema.names, batch.columns, strict=True))
            names = [name for name in (columns or self.names) if name in known]
            # All blocks in one type: sealed rows are gathered from several, and must read as they do here.
            batch = pa.record_batch([_as_type(known[name], self._types[name]) for name in names], names)
            if self._kept is not None:
                batch = batch.filter(pa.array(self._kept[start : start + batch.num_rows]))
            if batch.num_rows:
                yield done, batch
                done += batch.num_rows

    def place_of(self, row: int) -> str:
        """The file and the line of a row."""
        read = row if self._kept is None else int(np.flatnonzero(self._kept)[row])
        block = int(np.searchsorted(self._starts, read, side="right")) - 1
        number, first = self._origins[block]
        file = self.files[number]
        return f"{file.path}, {file.place_of(first + read - self._starts[block])}"

    def pieces(self, order: Order) -> Iterator[tuple[Order, bytes]]:
        """The rows in an order, piece by piece, each piece an Arrow IPC stream."""
        row_bytes = max(1, self.nbytes // max(1, self._num_read))
        size = max(1, PIECE_BYTES // row_bytes)
        for rows in windows(order, max(1, GATHER_BYTES // row_bytes)):
            by_place = np.argsort(rows, kind="stable")
            ordered, batches = rows[by_place], []
            for start, batch in self.blocks():
                first, last = np.searchsorted(ordered, [start, start + batch.num_rows])
                batches.append(batch.take(pa.array(ordered[first:last] - start)))
            table = pa.Table.from_batches(batches).take(pa.array(np.argsort(by_place))).combine_chunks()
            for start in range(0, len(rows), size):
                yield rows[start : start + size], ipc_stream(table.slice(start, size)).to_pybytes()


def cell_problem(
    settings: TableSettings, table: RawTable, name: str, row: int, reason: str, *, others: Collection[str] = ()
) -> Problem:
    """The problem with one cell, and its place; `others` are texts that are wrong in the same column."""
    text = _cell_text(table, name, row)
    advice = "mend it, or leave such rows out: data.on_error=skip"
    if reason.startswith("a text among"):
        words = [*(word for word in settings.missing if word not in MISSING_TEXTS), text, *sorted({*others} - {text})]
        missing = setting("data.missing", words if len(words) > 1 else text)
        is_missing = f"{missing} if it means missing; or " if all(map(str.isprintable, words)) else ""
        as_category = column_type(name, "category")
        advice = f"mend it; or {is_missing}{as_category}; or data.on_error=skip leaves such rows out"
    keys = (key for key in ("group", "time", "split_column") if getattr(settings, key) == name)
    where = "data.target" if name in settings.target else f"data.{next(keys, 'path')}"
    shown = f" ({text[:60]!r})" if text else ""
    return Problem(where, f"{table.place_of(row)}, column {name!r}: has {reason}{shown}", next=advice)


def _cell_text(table: RawTable, name: str, row: int) -> str:
    """A cell as the source spells it; empty where it is missing."""
    for start, batch in table.blocks([name]):
        if row < start + batch.num_rows:
            value = batch.column(0)[row - start].as_py()
            return "" if value is None else str(value)
    return ""


def _plain(array: Any) -> Any:
    """An array without a dictionary, texts as strings."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    is_string = pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type)
    return array.cast(pa.string()) if is_string else array


def _as_type(array: Any, type: Any) -> Any:
    """An array of pyarrow's in a type that holds its values, as texts where nothing else does."""
    return array if array.type == type else array.cast(type, safe=False)


def _wider(first: Any, second: Any) -> Any:
    """A type that holds the values of both."""
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    if kind_of(first) == kind_of(second) == "number":
        are_whole = all(pa.types.is_integer(type) and not pa.types.is_uint64(type) for type in (first, second))
        return pa.int64() if are_whole else pa.float64()
    return pa.timestamp("us") if kind_of(first) == kind_of(second) == "date" else pa.string()
