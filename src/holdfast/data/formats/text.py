"""Delimited text as lines: what its delimiter is, and on which line a mistake stands."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.core.errors import InputError
from holdfast.data.formats.files import WHERE, opened, refuse_other_formats

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_BYTES = 256 * 1024
MAX_FIELD_BYTES = 64 * 2**20
SAMPLE_ROWS = 1000
WINDOWS = "cp1252"
UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # bytes that stand for nothing in cp1252


def guess_encoding(path: Path) -> str:
    """UTF-16 where a file begins so; cp1252 where it has bytes beyond ASCII and none of them are UTF-8; else UTF-8."""
    decoder, is_utf8, has_letters = codecs.getincrementaldecoder("utf-8")("replace"), True, False
    with opened(path, WHERE) as stream:
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


def sample_of(path: Path, encoding: str) -> str:
    """The beginning of a file as text; an InputError where it is empty, no text, or in another encoding."""
    try:
        decode = codecs.getincrementaldecoder(encoding)("strict")
    except LookupError:
        raise InputError("data.encoding", f"is {encoding!r}, which Python does not know") from None
    with opened(path, WHERE) as stream:
        start = stream.read(SAMPLE_BYTES)
    refuse_other_formats(path, start, WHERE)
    is_wide = start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if is_wide and "16" not in encoding and "32" not in encoding:
        raise InputError(WHERE, f"{path} is UTF-16", next="data.encoding=utf-16")
    try:
        text = decode.decode(start, len(start) < SAMPLE_BYTES)
    except UnicodeError:
        raise not_decodable(path, encoding) from None
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        raise InputError(WHERE, f"{path}, line {line}: holds a NUL byte; the file is no text, or damaged")
    return text.removeprefix("\ufeff")


def some_rows(text: str, delimiter: str) -> list[list[str]]:
    """The rows of a sample, the header first; a last row that the sample may have cut is left out."""
    whole = text if len(text) < SAMPLE_BYTES // 4 else text[: text.rfind("\n") + 1] or text
    try:
        return [row for row in csv.reader(io.StringIO(whole, newline=""), delimiter=delimiter) if row]
    except csv.Error:
        return [next(csv.reader(io.StringIO(whole.splitlines()[0]), delimiter=delimiter), [])]


def guess_delimiter(text: str) -> str:
    """The delimiter that gives the rows the most equal number of cells, and then the most cells."""

    def score(delimiter: str) -> tuple[bool, float, int]:
        rows = some_rows(text, delimiter)[:200]
        width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
        return width > 1 and len(rows[0]) == width, round(count / max(1, len(rows)), 1), width

    best = max(DELIMITERS, key=score)
    return best if score(best)[0] else max(DELIMITERS, key=text.partition("\n")[0].count)


def line_of(path: Path, encoding: str, delimiter: str, number: int, width: int | None = None) -> int:
    """The line on which a record starts; the header is record 1, empty lines are none.

    Records are counted among those with `width` cells; None: among all.
    """
    records = (line for line, cells in _records(path, encoding, delimiter) if width in (None, cells))
    return next(itertools.islice(records, number - 1, None), number)


def unclosed_quote(path: Path, encoding: str, delimiter: str) -> int | None:
    """The line on which a quote opens that never closes; None where all do."""
    start = 1
    with _lines(path, encoding) as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            try:
                next(reader)
            except StopIteration:
                return None
            except csv.Error as error:
                if "unexpected end of data" in str(error) or "field larger" in str(error):
                    return start
            start = reader.line_num + 1


def not_decodable(path: Path, encoding: str) -> InputError:
    """The error of a file in another encoding, with the line of the first bytes that show it."""
    decoder, line, reason = codecs.getincrementaldecoder(encoding)("strict"), 1, "its last bytes"
    with opened(path, WHERE) as stream:
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


def _records(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, int]]:
    """The first line and the number of cells of each record that is not empty."""
    start = 1
    with _lines(path, encoding) as lines:
        reader = csv.reader(lines, delimiter=delimiter)
        for cells in reader:
            if cells:
                yield start, len(cells)
            start = reader.line_num + 1


@contextmanager
def _lines(path: Path, encoding: str) -> Iterator[Iterator[str]]:
    """The lines of a file, whatever bytes there are, for the module csv: cells may be large."""
    former = csv.field_size_limit(MAX_FIELD_BYTES)
    try:
        with opened(path, WHERE) as stream:
            text = io.TextIOWrapper(stream, encoding, errors="replace", newline="")
            yield (line.replace("\x00", " ") for line in text)
            text.detach()
    finally:
        csv.field_size_limit(former)
