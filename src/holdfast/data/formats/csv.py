"""Delimited text, block by block, by pyarrow: every cell is a text, and what it means is a matter of the view.

The encoding, the delimiter and the marks in numbers are found out where they are not given. Where pyarrow refuses a
file, the module `csv` of the standard library finds the line of the mistake.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.data.arrow import pa
from holdfast.data.formats.files import WHERE, opened, refuse_other_formats, unique_names
from holdfast.data.formats.numbers import DECIMALS, THOUSANDS, Marks, guess_marks, plain_numbers
from holdfast.vault.rows.canonical_cells import IS_NUMBER

OTHERS = (".xlsx", ".xls", ".zip", ".parquet", ".npy", ".npz", ".feather", ".arrow")
BLOCK_BYTES = 4 * 2**20
SAMPLE_BYTES = 256 * 1024
SAMPLE_ROWS = 1000
MAX_FIELD_BYTES = 64 * 2**20
MAX_RAGGED = 1000
OTHER_MARK = {".": ",", ",": "."}  # the decimal mark that a mark between thousands tells
DELIMITERS = (",", ";", "\t", "|")
# A comma would end a list on the command line.
DELIMITER_WORDS = {"comma": ",", "semicolon": ";", "pipe": "|", "tab": "\t", "\\t": "\t", "space": " "}
WINDOWS = "cp1252"
UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # bytes that stand for nothing in cp1252


class Dialect(NamedTuple):
    """The way in which a file is written, as it was asked for or found out."""

    encoding: str
    delimiter: str
    marks: Marks  # in its numbers
    header: list[str]  # its first row, as it is spelled
    names: list[str]  # of its columns


@dataclass
class CsvFile:
    """One file of delimited text; a compressed one is known by its suffix."""

    path: Path  # where it lies
    # between cells: auto (one of `, ; | tab`), comma, semicolon, tab, pipe, space, or one character
    delimiter: str = "auto"
    decimal: str = "auto"  # the decimal point: point, comma, or auto (a comma where it cannot be anything else)
    thousands: str = "auto"  # what may stand between thousands: none, point, comma, space, apostrophe, or auto
    encoding: str = "auto"  # as Python names them; auto: UTF-8, UTF-16 where the file begins so, else cp1252 (Windows)
    skips: bool = False  # whether lines with another number of cells are left out, and no error
    skipped: list[str] = field(default_factory=list)  # is given the reason for every line left out

    def __post_init__(self) -> None:
        delimiter = DELIMITER_WORDS.get(self.delimiter, self.delimiter)
        decimal = DECIMALS.get(self.decimal, self.decimal)
        thousands = THOUSANDS.get(self.thousands, self.thousands)
        problems = []
        if delimiter != "auto" and (len(delimiter.encode()) != 1 or delimiter in '"\n\r\x00'):
            allowed = "auto, comma, semicolon, tab, pipe, space, or one character"
            problems.append(Problem("data.delimiter", f"is {delimiter!r}", allowed))
        if decimal not in ("auto", ".", ","):
            problems.append(Problem("data.decimal", f"is {decimal!r}", "auto, point or comma"))
        if thousands not in ("auto", *THOUSANDS.values(), *".,' "):
            problems.append(Problem("data.thousands", f"is {thousands!r}", f"auto, {', '.join(THOUSANDS)}"))
        elif thousands == decimal != "auto":
            problems.append(Problem("data.thousands", f"is {thousands!r}", "another sign than data.decimal"))
        raise_problems(problems)
        if self.path.suffix.lower() in OTHERS:
            message = f"{self.path} is no delimited text"
            raise InputError(WHERE, message, next="export it as CSV, or choose its data option")
        self.delimiter, self.decimal, self.thousands = delimiter, decimal, thousands

    def column_names(self) -> list[str]:
        """The names in the header; an InputError where the file cannot be read, or has none."""
        return self.dialect.names

    def batches(self) -> Iterator[tuple[list[str], list[Any]]]:
        """The names of the columns and the texts of some rows, again and again; at least once, with no rows."""
        names, marks = self.dialect.names, self.dialect.marks
        self._tell()
        ragged: list[tuple[int, int]] = []
        last: list[Any] = []
        yield names, [pa.array([], pa.string())] * len(names)
        with opened(self.path) as stream:
            try:
                for batch in self._reader(stream, ragged):
                    last = batch.columns if len(batch) else last
                    yield names, [plain_numbers(column, marks) for column in batch.columns]
                    if not self.skips and len(ragged) > MAX_RAGGED:
                        break
            except pa.ArrowInvalid as error:
                self._explain(str(error), ragged)
            except UnicodeError:
                raise _not_decodable(self.path, self.dialect.encoding) from None
        if ragged:
            self._judge(ragged)
        if any("\n" in (column[-1].as_py() or "") for column in last):
            self._refuse_unclosed()

    def reading(self) -> dict[str, str]:
        """The marks in its numbers, as options for other files of the kind."""
        return {"decimal": "point", "thousands": "none"} | self.dialect.marks.as_options

    def place_of(self, row: int) -> str:
        """The line on which a row starts, of the rows that `batches` gives."""
        return f"line {self._line_of(row + 2, width=len(self.dialect.names))}"

    @cached_property
    def dialect(self) -> Dialect:
        """The encoding, the delimiter and the marks of the file, and the names in its header."""
        encoding = self.encoding if self.encoding != "auto" else _guess_encoding(self.path)
        start = _sample_of(self.path, encoding)
        delimiter = self.delimiter if self.delimiter != "auto" else _guess_delimiter(start)
        rows = _some_rows(start, delimiter)
        if not rows:
            raise InputError(WHERE, f"{self.path} is empty: it has neither a header nor rows")
        decimal = self.decimal if self.decimal != "auto" else OTHER_MARK.get(self.thousands, "")
        columns = itertools.zip_longest(*rows[1:SAMPLE_ROWS], fillvalue="")
        marks = guess_marks(columns, decimal=decimal, in_commas=delimiter == ",")
        if self.thousands != "auto":
            marks = Marks(marks.decimal, self.thousands)
        return Dialect(encoding, delimiter, marks, rows[0], _names_in(self.path, rows[0]))

    def _tell(self) -> None:
        """Say how the file is read where that was found out and is not the rule."""
        encoding, marks = self.dialect.encoding, self.dialect.marks
        words = [f"as {encoding}"] if self.encoding == "auto" and encoding == WINDOWS else []
        options = marks.as_options
        if "decimal" in options and self.decimal == "auto":
            words.append("with decimal commas")
        if "thousands" in options and self.thousands == "auto":
            words.append(f"with a {options['thousands']} between thousands (data.thousands=none if not)")
        if marks.either and self.decimal == "auto":
            other = Marks(thousands=marks.decimal).as_options["thousands"]
            words.append(f"with fractions such as {marks.either} (data.thousands={other} if these are thousands)")
        if words:
            print(f"holdfast: {self.path.name}: read {', '.join(words)}", file=sys.stderr, flush=True)

    def _reader(self, stream: Any, ragged: list[Any]) -> Any:
        from pyarrow import csv as arrow

        def note(row: Any) -> Literal["skip"]:
            ragged.append((row.number or 0, row.actual_columns))
            return "skip"

        encoding, delimiter, _, header, _ = self.dialect
        return arrow.open_csv(
            stream,
            read_options=arrow.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=encoding),
            parse_options=arrow.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), null_values=[], strings_can_be_null=False
            ),
        )

    def _explain(self, message: str, ragged: Sequence[tuple[int, int]]) -> NoReturn:
        """Turn what pyarrow says into an error with a line."""
        if "UTF8" in message:
            raise _not_decodable(self.path, self.dialect.encoding) from None
        if ragged:
            self._judge(ragged)
        self._refuse_unclosed()
        if "cannot infer" in message:  # not even a line end after the header
            raise InputError(WHERE, f"{self.path} has a header and no rows") from None
        if "straddling" in message:
            message = f"a line is longer than {BLOCK_BYTES // 2**20} MiB; is it data?"
        raise InputError(WHERE, f"{self.path}: {' '.join(message.split())[:300]}") from None

    def _judge(self, ragged: Sequence[tuple[int, int]]) -> None:
        """Skip lines with another number of cells than the header, or refuse the first of them."""
        self._refuse_unclosed()
        if self.skips:
            self.skipped.extend("another number of cells" for _ in ragged)
            return
        number, actual = ragged[0]
        others = f" ({len(ragged)} lines are like that)" if len(ragged) > 1 else ""
        cells = f"has {actual} cells, the header has {len(self.dialect.names)}{others}"
        now = self.dialect.delimiter
        advice = f"mend it, or give data.delimiter (now {now!r}), or data.on_error=skip leaves them out"
        raise InputError(WHERE, f"{self.path}, line {self._line_of(number)}: {cells}", next=advice)

    def _refuse_unclosed(self) -> None:
        """Refuse a file with a quote that never closes, with the line on which it opens."""
        start = 1
        with self._lines() as lines:
            reader = csv.reader(lines, delimiter=self.dialect.delimiter, strict=True)
            while True:
                try:
                    next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    if "unexpected end of data" in str(error) or "field larger" in str(error):
                        problem = f"{self.path}, line {start}: a quote opens and never closes"
                        raise InputError(WHERE, problem, next="mend the file") from None
                start = reader.line_num + 1

    def _line_of(self, number: int, width: int | None = None) -> int:
        """The line on which a record starts; the header is record 1, empty lines are none.

        Records are counted among those with `width` cells; None: among all.
        """
        start = 1
        with self._lines() as lines:
            reader = csv.reader(lines, delimiter=self.dialect.delimiter)
            for cells in reader:
                if cells and width in (None, len(cells)):
                    number -= 1
                if number == 0:
                    return start
                start = reader.line_num + 1
        return start

    @contextmanager
    def _lines(self) -> Iterator[Iterator[str]]:
        """The lines of the file, whatever bytes there are, for the module csv: cells may be large."""
        former = csv.field_size_limit(MAX_FIELD_BYTES)
        try:
            with opened(self.path) as stream:
                text = io.TextIOWrapper(stream, self.dialect.encoding, errors="replace", newline="")
                yield (line.replace("\x00", " ") for line in text)
                text.detach()
        finally:
            csv.field_size_limit(former)


def _names_in(path: Path, header: Sequence[str]) -> list[str]:
    """The names of the columns, one without a name called as pandas calls it; a first row of numbers is refused."""
    names = [name.strip().removeprefix("\ufeff") or f"Unnamed: {index}" for index, name in enumerate(header)]
    numbers = [name for name in names if IS_NUMBER.fullmatch(name)]
    is_range = all(map(str.isdecimal, numbers)) and list(map(int, numbers)) == sorted({*map(int, numbers)})
    if 2 * len(numbers) >= len(names) and not is_range:
        problem = f"{path}, line 1: holds numbers ({', '.join(numbers[:3])}), not the names of columns"
        raise InputError(WHERE, problem, next="write a first line with one name a column")
    return unique_names(f"{path}, line 1", names)


def _guess_encoding(path: Path) -> str:
    """UTF-16 where a file begins so; cp1252 where it has bytes beyond ASCII and none of them are UTF-8; else UTF-8."""
    decoder, is_utf8, has_letters = codecs.getincrementaldecoder("utf-8")("replace"), True, False
    with opened(path) as stream:
        content = stream.read(SAMPLE_BYTES)
        if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        while content:
            text = decoder.decode(content)
            if not text.isascii():
                is_utf8 &= "\ufffd" not in text
                has_letters |= not text.replace("\ufffd", "").removeprefix("\ufeff").isascii()
            if not is_utf8 and (has_letters or UNDEFINED.search(content)):
                return "utf-8"  # a damaged file, which is told where it is read
            content = stream.read(SAMPLE_BYTES)
    return "utf-8" if is_utf8 and "\ufffd" not in decoder.decode(b"", final=True) else WINDOWS


def _sample_of(path: Path, encoding: str) -> str:
    """The beginning of a file as text; an InputError where it is empty, no text, or in another encoding."""
    try:
        decode = codecs.getincrementaldecoder(encoding)("strict")
    except LookupError:
        raise InputError("data.encoding", f"is {encoding!r}, which Python does not know") from None
    with opened(path) as stream:
        start = stream.read(SAMPLE_BYTES)
    refuse_other_formats(path, start)
    is_wide = start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if is_wide and "16" not in encoding and "32" not in encoding:
        raise InputError(WHERE, f"{path} is UTF-16", next="data.encoding=utf-16")
    try:
        text = decode.decode(start, len(start) < SAMPLE_BYTES)
    except UnicodeError:
        raise _not_decodable(path, encoding) from None
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        raise InputError(WHERE, f"{path}, line {line}: holds a NUL byte; the file is no text, or damaged")
    return text.removeprefix("\ufeff")


def _some_rows(text: str, delimiter: str) -> list[list[str]]:
    """The rows of a sample, the header first; a last row that the sample may have cut is left out."""
    whole = text if len(text) < SAMPLE_BYTES // 4 else text[: text.rfind("\n") + 1] or text
    try:
        return [row for row in csv.reader(io.StringIO(whole, newline=""), delimiter=delimiter) if row]
    except csv.Error:
        return [next(csv.reader(io.StringIO(whole.splitlines()[0]), delimiter=delimiter), [])]


def _guess_delimiter(text: str) -> str:
    """The delimiter that gives the rows the most equal number of cells, and then the most cells."""

    def score(delimiter: str) -> tuple[bool, float, int]:
        rows = _some_rows(text, delimiter)[:200]
        width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
        return width > 1 and len(rows[0]) == width, round(count / max(1, len(rows)), 1), width

    best = max(DELIMITERS, key=score)
    return best if score(best)[0] else max(DELIMITERS, key=text.partition("\n")[0].count)


def _not_decodable(path: Path, encoding: str) -> InputError:
    """The error of a file in another encoding, with the line of the first bytes that show it."""
    decoder, line, reason = codecs.getincrementaldecoder(encoding)("strict"), 1, "its last bytes"
    with opened(path) as stream:
        try:
            while content := stream.read(SAMPLE_BYTES):
                line += decoder.decode(content).count("\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].decode(encoding, "replace").count("\n")
            reason = f"byte 0x{error.object[error.start]:02x}"
        except UnicodeError as error:
            reason = str(error)
    advice = "data.encoding=cp1252 if it was written so; or latin-1, utf-16, ..."
    return InputError(WHERE, f"{path}, line {line}: is not {encoding} ({reason})", next=advice)
