"""Delimited text, block by block, by pyarrow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

from holdfast.core.errors import InputError
from holdfast.data.formats import text
from holdfast.data.formats.files import opened
from holdfast.data.formats.types import Conflict, arrow_type
from holdfast.data.tables.cells import is_code, is_sentinel

WHERE = text.WHERE
SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
BLOCK_BYTES = 4 * 2**20
MAX_RAGGED = 1000
# A comma would end a list on the command line.
DELIMITER_WORDS = {"comma": ",", "semicolon": ";", "pipe": "|", "tab": "\t", "\\t": "\t", "space": " "}
DECIMAL_WORDS = {"comma": ",", "point": "."}
# What a column is read as when its first type does not hold; anything else: as text.
WIDER = {"int64": "double"}
_CONVERSION = re.compile(r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to (\w+)")


@dataclass(frozen=True)
class CsvFile:
    """One file of delimited text; a compressed one is known by its suffix.

    Attributes:
        path: Where it lies.
        delimiter: Between cells; "auto" looks at the first lines.
        decimal: The decimal point; "auto" likewise.
        encoding: As Python names them.
        missing: Texts that mean a missing cell.
        skips: Whether lines with another number of cells are left out, and no error.
        skipped: Is given the reason for every line left out.
    """

    path: Path
    delimiter: str = "auto"
    decimal: str = "auto"
    encoding: str = "utf-8"
    missing: tuple[str, ...] = ("",)
    skips: bool = False
    skipped: list[str] = field(default_factory=list)

    def column_names(self) -> list[str]:
        """Those in the header.

        Raises:
            InputError: The file cannot be read, or has no header.
        """
        return self._sampled()[1]

    def batches(self, types: Mapping[str, str]) -> Iterator[tuple[list[str], list[Any]]]:
        """The names of the columns and the arrays of some rows, again and again; at least once, with no rows.

        Args:
            types: Types that columns must be read as, where the first rows suggest another.

        Raises:
            Conflict: A later row does not fit the type that the first rows suggested.
            InputError: The file is malformed.
        """
        import pyarrow as pa

        known, names, rows = self._sampled()
        for name in known._codes(names, rows):
            if name not in types:
                raise Conflict(name, "string")
        ragged: list[tuple[int, int]] = []
        last: list[Any] = []
        yield names, [pa.nulls(0) for _ in names]
        with opened(self.path, WHERE) as stream:
            try:
                for batch in known._reader(stream, names, types, ragged):
                    if any(pa.types.is_binary(column.type) for column in batch.columns):
                        raise text.not_decodable(self.path, self.encoding)
                    last = batch.columns if len(batch) else last
                    yield names, batch.columns
                    if not self.skips and len(ragged) > MAX_RAGGED:
                        break
            except pa.ArrowInvalid as error:
                known._explain(str(error), names, ragged)
            except UnicodeError:
                raise text.not_decodable(self.path, self.encoding) from None
        if ragged:
            known._judge(ragged, len(names))
        if any(str(column.type) == "string" and "\n" in (column[-1].as_py() or "") for column in last):
            known._refuse_unclosed()

    def place_of(self, row: int) -> str:
        """The line on which a row starts, of the rows that `batches` gives."""
        known, _, _ = self._sampled()
        return f"line {text.line_of_row(self.path, self.encoding, known.delimiter, row)}"

    def _sampled(self) -> tuple[CsvFile, list[str], list[Sequence[str]]]:
        """The same file with its delimiter and decimal point known, the names in its header, and its first rows."""
        start = text.sample_of(self.path, self.encoding)
        delimiter = self.delimiter if self.delimiter != "auto" else text.guess_delimiter(start)
        rows = text.some_rows(start, delimiter)
        if not rows:
            raise InputError(WHERE, f"{self.path} is empty: it has neither a header nor rows")
        decimal = self.decimal if self.decimal != "auto" else text.guess_decimal(rows[1:], delimiter)
        names = _clean(rows[0])
        _check_names(self.path, names)
        return replace(self, delimiter=delimiter, decimal=decimal), names, _whole(rows)

    def _codes(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
        """The columns with leading zeros: in the first rows, or further below in what are whole numbers up there."""
        columns = list(zip(*rows, strict=True))
        codes = [index for index, cells in enumerate(columns) if any(map(_is_lost, cells))]
        whole = [
            index
            for index, cells in enumerate(columns)
            if index not in codes and all(cell.isdecimal() or cell in self.missing for cell in cells)
        ]
        if whole:
            codes += text.columns_where(_is_lost, self.path, self.encoding, self.delimiter, whole)
        return [names[index] for index in codes]

    def _reader(self, stream: Any, names: Sequence[str], types: Mapping[str, str], ragged: list[Any]) -> Any:
        from pyarrow import csv

        def note(row: Any) -> Literal["skip"]:
            ragged.append((row.number or 0, row.actual_columns))
            return "skip"

        # By position: pyarrow has its own names for the columns, which may be spelled with spaces.
        raw = text.some_rows(text.sample_of(self.path, self.encoding), self.delimiter)[0]
        return csv.open_csv(
            stream,
            read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=self.encoding),
            parse_options=csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=note),
            convert_options=csv.ConvertOptions(
                column_types={old: arrow_type(types[new]) for old, new in zip(raw, names, strict=True) if new in types},
                # numbers are read as they are, so that rows are known whatever the user calls missing
                null_values=[text for text in self.missing if not is_sentinel(text)],
                strings_can_be_null=True,
                decimal_point=self.decimal,
            ),
        )

    def _explain(self, message: str, names: Sequence[str], ragged: Sequence[tuple[int, int]]) -> NoReturn:
        """Turn what pyarrow says into a conflict of types, or into an error with a line."""
        found = _CONVERSION.search(message)
        if found and "UTF8" in message:
            raise text.not_decodable(self.path, self.encoding) from None
        if found:
            raise Conflict(names[int(found[1])], WIDER.get(found[2], "string")) from None
        if ragged:
            self._judge(ragged, len(names))
        self._refuse_unclosed()
        if "cannot infer" in message:  # not even a line end after the header
            raise InputError(WHERE, f"{self.path} has a header and no rows") from None
        if "straddling" in message:
            line = text.long_line(self.path, self.encoding, self.delimiter, BLOCK_BYTES)
            what = f"{self.path}, line {line}: is longer than {BLOCK_BYTES // 2**20} MiB"
            raise InputError(
                WHERE, what, next="is it data? a quote that opens and never closes reads so, too"
            ) from None
        raise InputError(WHERE, f"{self.path}: {' '.join(message.split())[:300]}") from None

    def _judge(self, ragged: Sequence[tuple[int, int]], width: int) -> None:
        """Lines with another number of cells than the header."""
        self._refuse_unclosed()
        if self.skips:
            self.skipped.extend("another number of cells" for _ in ragged)
            return
        number, actual = ragged[0]
        line = text.line_of_record(self.path, self.encoding, self.delimiter, number)
        others = f" ({len(ragged)} lines are like that)" if len(ragged) > 1 else ""
        advice = (
            f"mend it, or give data.delimiter (now {self.delimiter!r}), or data.on_error=skip leaves such lines out"
        )
        what = f"{self.path}, line {line}: has {actual} cells, the header has {width}{others}"
        raise InputError(WHERE, what, next=advice)

    def _refuse_unclosed(self) -> None:
        line = text.unclosed_quote(self.path, self.encoding, self.delimiter)
        if line is not None:
            what = f"{self.path}, line {line}: a quote opens and never closes"
            raise InputError(WHERE, what, next="mend the file")


def _is_lost(cell: str) -> bool:
    """Whether pyarrow would read a number that is not what the cell spells: a code, or hexadecimal digits."""
    stripped = cell.strip()
    return is_code(stripped) or stripped[:2] in ("0x", "0X")


def _clean(names: Sequence[str]) -> list[str]:
    """Names without white space around them; a column without a name is called as pandas calls it."""
    stripped = [name.strip().removeprefix("\ufeff") for name in names]
    return [name or f"Unnamed: {index}" for index, name in enumerate(stripped)]


def _whole(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The rows of a sample that have as many cells as its header, without that."""
    return [row for row in rows[1:] if len(row) == len(rows[0])]


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    numbers = [name for name in names if text.NUMBER.match(name)]
    is_range = [float(name) for name in numbers] == sorted({float(name) for name in numbers}) and all(
        name.isdecimal() for name in numbers
    )
    if 2 * len(numbers) >= len(names) and not is_range:
        what = f"{path}, line 1: holds numbers ({', '.join(numbers[:3])}), not the names of columns"
        raise InputError(WHERE, what, next="write a first line with one name a column")
    if twice:
        what = f"{path}, line 1: has {len(twice)} names more than once: {', '.join(map(repr, twice[:5]))}"
        raise InputError(WHERE, what, next="give every column a name of its own")
