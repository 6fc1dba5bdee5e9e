"""Tables that know their types, in files or in memory: read as record batches of Arrow, JSON lines by its parser.

The parser of the standard library finds the lines of JSON that hold mistakes.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.arrow import pa
from holdfast.data.formats.files import WHERE, opened, refuse_other_formats, unique_names

BATCH_ROWS = 65_536
Opened = AbstractContextManager[tuple[Any, Iterator[Any]]]
BLOCK_BYTES = 4 * 2**20
ADVICE = "write one object a line, or data.on_error=skip leaves such lines out"
_WORDS = {int: "number", float: "number", bool: "truth value", str: "text", list: "list or object"}
_WORDS[dict] = _WORDS[list]


@dataclass(frozen=True)
class TypedFile:
    """A table whose columns have types, so that it has no malformed rows to skip."""

    path: Any
    format: str
    opened: Callable[[], Opened]  # gives the schema and the record batches, as a context manager
    skipped: list[str] = field(default_factory=list)  # stays empty

    def column_names(self) -> list[str]:
        """The names in its schema; an InputError where the file is of another format, or damaged."""
        return next(self.batches())[0]

    def batches(self) -> Iterator[tuple[list[str], list[Any]]]:
        """The names of the columns and the arrays of some rows, again and again; at least once, with no rows."""
        try:
            with self.opened() as (schema, batches):
                names = unique_names(str(self.path), schema.names)
                yield names, [pa.array([], column.type) for column in schema]
                for batch in batches:
                    yield names, batch.columns
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(WHERE, f"{self.path} is no {self.format} file, or a damaged one ({reason})") from None

    def reading(self) -> dict[str, str]:
        """No option: its numbers have no marks."""
        return {}

    def place_of(self, row: int) -> str:
        """The name of a row, counted from 0."""
        return f"row {row}"


def feather_file(path: Path, *, skips: bool = False) -> TypedFile:
    """A file in Arrow's IPC file format, which is Feather 2."""

    @contextmanager
    def opened() -> Iterator[tuple[Any, Iterator[Any]]]:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
            yield file.schema, (file.get_batch(number) for number in range(file.num_record_batches))

    return TypedFile(path, "Feather", opened)


def parquet_file(path: Path, *, skips: bool = False) -> TypedFile:
    """A Parquet file."""

    @contextmanager
    def opened() -> Iterator[tuple[Any, Iterator[Any]]]:
        from pyarrow import parquet

        with parquet.ParquetFile(path, pre_buffer=False) as file:
            yield file.schema_arrow, file.iter_batches(BATCH_ROWS, use_threads=False)

    return TypedFile(path, "Parquet", opened)


@dataclass(frozen=True)
class JsonlFile:
    """One file of JSON lines, which is in memory while it is read; a compressed one is known by its suffix."""

    path: Path
    skips: bool = False  # whether lines that are no objects are left out, and no error
    skipped: list[str] = field(default_factory=list)  # is given the reason for every line left out
    bad: set[int] = field(default_factory=set)  # the numbers of these lines, once all lines had to be looked at

    def column_names(self) -> None:
        """The names are unknown before all lines were read: each may have keys of its own."""

    def batches(self) -> Iterator[tuple[list[str], list[Any]]]:
        """The names of the columns and the arrays of some rows, again and again."""
        with opened(self.path) as stream:
            refuse_other_formats(self.path, stream.read(8))
        try:
            try:
                table = self._table()
            except (pa.ArrowInvalid, UnicodeError):
                self._look_at_lines()
                table = self._table()
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise InputError(WHERE, f"{self.path}: {' '.join(str(error).split())[:200]}") from None
        names = unique_names(str(self.path), table.column_names)
        for batch in table.to_batches():
            yield names, batch.columns
        self.skipped.extend("no JSON object" for _ in self.bad)

    def reading(self) -> dict[str, str]:
        """No option: its numbers have no marks."""
        return {}

    def place_of(self, row: int) -> str:
        """The line of a row, counted from 0 over the lines that are not empty."""
        return next((f"line {line}" for line, _ in itertools.islice(self._lines(), row, None)), f"row {row}")

    def _table(self) -> Any:
        """The good lines as a table of pyarrow's, which gives each key a type that holds the values of all lines."""
        from pyarrow import json as arrow

        with opened(self.path) as stream:
            source = io.BytesIO(b"\n".join(line for _, line in self._lines())) if self.bad else stream
            return arrow.read_json(source, arrow.ReadOptions(use_threads=False, block_size=BLOCK_BYTES))

    def _look_at_lines(self) -> None:
        """Find the first line at fault, or all that are left out."""
        kinds: dict[str, str] = {}
        for line, text in self._lines():
            where, fault = f"{self.path}, line {line}", ""
            try:
                cells = json.loads(text)
                fault = "" if isinstance(cells, dict) else f"is a {type(cells).__name__}, not an object"
            except UnicodeDecodeError:
                fault = "is not utf-8"
            except (ValueError, RecursionError) as error:
                fault = f"is no JSON ({str(error)[:100]})"
            if fault and not self.skips:
                raise InputError(WHERE, f"{where}: {fault}", next=ADVICE)
            if fault:
                self.bad.add(line)
                continue
            for name, value in cells.items():
                if value is not None and (kind := _WORDS[type(value)]) != kinds.setdefault(name, kind):
                    problem = f"{where}: {name!r} is a {kind}, and a {kinds[name]} above"
                    raise InputError(WHERE, problem, next=f"write one kind of value under {name!r}")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are neither empty nor bad, by their numbers."""
        with opened(self.path) as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip() and number not in self.bad:
                    yield number, line.rstrip(b"\n")
