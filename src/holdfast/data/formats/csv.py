"""Delimited text, block by block, by pyarrow: every cell is a text, and what it means is a matter of the view."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, NoReturn

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.data.arrow import pa
from holdfast.data.formats import text
from holdfast.data.formats.files import WHERE, opened, unique_names
from holdfast.data.formats.numbers import DECIMALS, THOUSANDS, Marks, guess_marks, plain_numbers
from holdfast.vault.rows.canonical_cells import IS_NUMBER

OTHERS = (".xlsx", ".xls", ".zip", ".parquet", ".npy", ".npz", ".feather", ".arrow")
BLOCK_BYTES = 4 * 2**20
MAX_RAGGED = 1000
OTHER_MARK = {".": ",", ",": "."}  # the decimal mark that a mark between thousands tells
# A comma would end a list on the command line.
DELIMITER_WORDS = {"comma": ",", "semicolon": ";", "pipe": "|", "tab": "\t", "\\t": "\t", "space": " "}


@dataclass(frozen=True)
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
    marks: Marks = field(default_factory=Marks)  # in its numbers, once they are known

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
        object.__setattr__(self, "delimiter", delimiter)
        object.__setattr__(self, "decimal", decimal)
        object.__setattr__(self, "thousands", thousands)

    def column_names(self) -> list[str]:
        """The names in the header; an InputError where the file cannot be read, or has none."""
        return self._sampled[1]

    def batches(self) -> Iterator[tuple[list[str], list[Any]]]:
        """The names of the columns and the texts of some rows, again and again; at least once, with no rows."""
        known, names = self._sampled
        known._tell(self)
        ragged: list[tuple[int, int]] = []
        last: list[Any] = []
        yield names, [pa.array([], pa.string()) for _ in names]
        with opened(self.path, WHERE) as stream:
            try:
                for batch in known._reader(stream, ragged):
                    last = batch.columns if len(batch) else last
                    yield names, [plain_numbers(column, known.marks) for column in batch.columns]
                    if not self.skips and len(ragged) > MAX_RAGGED:
                        break
            except pa.ArrowInvalid as error:
                known._explain(str(error), names, ragged)
            except UnicodeError:
                raise text.not_decodable(self.path, known.encoding) from None
        if ragged:
            known._judge(ragged, len(names))
        if any("\n" in (column[-1].as_py() or "") for column in last):
            known._refuse_unclosed()

    def reading(self) -> dict[str, str]:
        """The marks in its numbers, as options for other files of the kind."""
        return {"decimal": "point", "thousands": "none"} | self._sampled[0].marks.as_options

    def place_of(self, row: int) -> str:
        """The line on which a row starts, of the rows that `batches` gives."""
        known, names = self._sampled
        return f"line {text.line_of(self.path, known.encoding, known.delimiter, row + 2, width=len(names))}"

    @cached_property
    def _sampled(self) -> tuple[CsvFile, list[str]]:
        """The same file with its encoding, its delimiter and its marks known, and the names in its header."""
        encoding = self.encoding if self.encoding != "auto" else text.guess_encoding(self.path)
        start = text.sample_of(self.path, encoding)
        delimiter = self.delimiter if self.delimiter != "auto" else text.guess_delimiter(start)
        rows = text.some_rows(start, delimiter)
        if not rows:
            raise InputError(WHERE, f"{self.path} is empty: it has neither a header nor rows")
        decimal = self.decimal if self.decimal != "auto" else OTHER_MARK.get(self.thousands, "")
        columns = zip_longest(*rows[1 : text.SAMPLE_ROWS], fillvalue="")
        marks = guess_marks(columns, decimal=decimal, in_commas=delimiter == ",")
        if self.thousands != "auto":
            marks = Marks(marks.decimal, self.thousands)
        known = replace(self, encoding=encoding, delimiter=delimiter, marks=marks)
        return known, _names_in(self.path, rows[0])

    def _tell(self, asked: CsvFile) -> None:
        """Say how the file is read where that was found out and is not the rule."""
        words = [f"as {self.encoding}"] if asked.encoding == "auto" and self.encoding == text.WINDOWS else []
        options = self.marks.as_options
        if "decimal" in options and asked.decimal == "auto":
            words.append("with decimal commas")
        if "thousands" in options and asked.thousands == "auto":
            words.append(f"with a {options['thousands']} between thousands (data.thousands=none if not)")
        if self.marks.either and asked.decimal == "auto":
            other = Marks(thousands=self.marks.decimal).as_options["thousands"]
            words.append(f"with fractions such as {self.marks.either} (data.thousands={other} if these are thousands)")
        if words:
            print(f"holdfast: {self.path.name}: read {', '.join(words)}", file=sys.stderr, flush=True)

    def _reader(self, stream: Any, ragged: list[Any]) -> Any:
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
                column_types=dict.fromkeys(raw, pa.string()), null_values=[], strings_can_be_null=False
            ),
        )

    def _explain(self, message: str, names: Sequence[str], ragged: Sequence[tuple[int, int]]) -> NoReturn:
        """Turn what pyarrow says into an error with a line."""
        if "UTF8" in message:
            raise text.not_decodable(self.path, self.encoding) from None
        if ragged:
            self._judge(ragged, len(names))
        self._refuse_unclosed()
        if "cannot infer" in message:  # not even a line end after the header
            raise InputError(WHERE, f"{self.path} has a header and no rows") from None
        if "straddling" in message:
            message = f"a line is longer than {BLOCK_BYTES // 2**20} MiB; is it data?"
        raise InputError(WHERE, f"{self.path}: {' '.join(message.split())[:300]}") from None

    def _judge(self, ragged: Sequence[tuple[int, int]], width: int) -> None:
        """Lines with another number of cells than the header."""
        self._refuse_unclosed()
        if self.skips:
            self.skipped.extend("another number of cells" for _ in ragged)
            return
        number, actual = ragged[0]
        line = text.line_of(self.path, self.encoding, self.delimiter, number)
        others = f" ({len(ragged)} lines are like that)" if len(ragged) > 1 else ""
        problem = f"{self.path}, line {line}: has {actual} cells, the header has {width}{others}"
        advice = f"mend it, or give data.delimiter (now {self.delimiter!r}), or data.on_error=skip leaves them out"
        raise InputError(WHERE, problem, next=advice)

    def _refuse_unclosed(self) -> None:
        line = text.unclosed_quote(self.path, self.encoding, self.delimiter)
        if line is not None:
            problem = f"{self.path}, line {line}: a quote opens and never closes"
            raise InputError(WHERE, problem, next="mend the file")


def _names_in(path: Path, header: Sequence[str]) -> list[str]:
    """The names of the columns, one without a name called as pandas calls it; a first row of numbers is refused."""
    names = [name.strip().removeprefix("\ufeff") or f"Unnamed: {index}" for index, name in enumerate(header)]
    numbers = [name for name in names if IS_NUMBER.fullmatch(name)]
    is_range = all(map(str.isdecimal, numbers)) and list(map(int, numbers)) == sorted({*map(int, numbers)})
    if 2 * len(numbers) >= len(names) and not is_range:
        problem = f"{path}, line 1: holds numbers ({', '.join(numbers[:3])}), not the names of columns"
        raise InputError(WHERE, problem, next="write a first line with one name a column")
    return unique_names(f"{path}, line 1", names)
