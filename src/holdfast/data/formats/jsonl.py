"""JSON, one object a line, block by block, by pyarrow; the standard library's parser finds the lines of mistakes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError
from holdfast.data.formats.files import opened, refuse_other_formats

WHERE = "data.path"
SUFFIXES = (".jsonl", ".ndjson", ".json")
BLOCK_BYTES = 4 * 2**20
ADVICE = "write one object a line, or data.on_error=skip leaves such lines out"


@dataclass(frozen=True)
class JsonlFile:
    """One file of JSON lines; a compressed one is known by its suffix.

    Attributes:
        path: Where it lies.
        skips: Whether lines that are no objects are left out, and no error.
        skipped: Is given the reason for every line left out.
        known: The types of all keys, once all lines had to be looked at.
        bad: The numbers of the lines that are left out, likewise.
    """

    path: Path
    skips: bool = False
    skipped: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    bad: set[int] = field(default_factory=set)

    def column_names(self) -> None:
        """Unknown before all lines were read: each may have keys of its own."""

    def batches(self) -> Iterator[tuple[list[str], list[Any]]]:
        """The names of the columns and the arrays of some rows, again and again.

        The types of all keys are taken from the first block. Where later lines have other keys or types, all lines are
        looked at, and the file is read once more before anything is given out.

        Raises:
            InputError: The file is malformed.
        """
        import pyarrow as pa

        with opened(self.path, WHERE) as stream:
            refuse_other_formats(self.path, stream.read(8), WHERE)
        try:
            if not self.known:
                for _ in self._read({}):
                    pass
        except (pa.ArrowInvalid, UnicodeError):
            self.known.update(self._types())
        try:
            yield from self._read(self.known)
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise InputError(WHERE, f"{self.path}: {' '.join(str(error).split())[:200]}") from None
        self.skipped.extend("no JSON object" for _ in self.bad)

    def place_of(self, row: int) -> str:
        """The line of a row, counted from 0 over the lines that are not empty."""
        for count, (line, _) in enumerate(self._lines()):
            if count == row:
                return f"line {line}"
        return f"row {row}"

    def _read(self, types: Mapping[str, str]) -> Iterator[tuple[list[str], list[Any]]]:
        with opened(self.path, WHERE) as stream:
            source = io.BytesIO(b"\n".join(line for _, line in self._lines())) if self.bad else stream
            for batch in _reader(source, types):
                yield [name.strip() for name in batch.schema.names], batch.columns

    def _types(self) -> dict[str, str]:
        """The type of every key over all lines."""
        types: dict[str, str] = {}
        for line, text in self._lines():
            try:
                cells = self._object(line, text)
            except InputError:
                if not self.skips:
                    raise
                self.bad.add(line)
                continue
            for name, value in cells.items():
                new, old = _type_of(value), types.get(name, "null")
                if new != old and "null" not in (new, old) and {new, old} != {"int64", "double"}:
                    problem = f"{self.path}, line {line}: {name!r} is a {_WORDS[new]}, and a {_WORDS[old]} above"
                    raise InputError(WHERE, problem, next=f"write one kind of value under {name!r}")
                types[name] = max(new, old, key=_ORDER.index)
        return {name: "double" if kind == "null" else kind for name, kind in types.items()}

    def _object(self, line: int, text: bytes) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except UnicodeDecodeError:
            raise InputError(WHERE, f"{self.path}, line {line}: is not utf-8") from None
        except (ValueError, RecursionError) as error:
            problem = f"{self.path}, line {line}: is no JSON ({str(error)[:100]})"
            raise InputError(WHERE, problem, next=ADVICE) from None
        if not isinstance(value, dict):
            problem = f"{self.path}, line {line}: is a {type(value).__name__}, not an object"
            raise InputError(WHERE, problem, next=ADVICE)
        return value

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are neither empty nor bad, by their numbers."""
        with opened(self.path, WHERE) as stream:
            rest, number = b"", 0
            while content := stream.read(BLOCK_BYTES):
                *whole, rest = (rest + content).split(b"\n")
                for text in whole:
                    number += 1
                    if text.strip() and number not in self.bad:
                        yield number, text
            if rest.strip() and number + 1 not in self.bad:
                yield number + 1, rest


open_table = JsonlFile
TYPES = {"int64": "int64", "double": "float64", "string": "string", "bool": "bool_"}
_ORDER = ("null", "int64", "double", "bool", "string", "nested")
_WORDS = {"int64": "number", "double": "number", "bool": "truth value", "string": "text", "nested": "list or object"}


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if abs(value) < 2**63 else "double"
    return "double" if isinstance(value, float) else "string" if isinstance(value, str) else "nested"


def _reader(stream: Any, types: Mapping[str, str]) -> Any:
    import pyarrow as pa
    from pyarrow import json as arrow

    schema = pa.schema([(name, getattr(pa, TYPES[kind])()) for name, kind in types.items() if kind != "nested"])
    return arrow.open_json(
        stream,
        read_options=arrow.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=arrow.ParseOptions(explicit_schema=schema if types else None, newlines_in_values=False),
    )
