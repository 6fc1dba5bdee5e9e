"""Formats of files. `FORMATS` has those of tables; an option of the group `data` names one (`format: feather`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.data.formats.csv import CsvFile
from holdfast.data.formats.files import COMPRESSED
from holdfast.data.formats.typed import JsonlFile, feather_file, parquet_file


class Format(NamedTuple):
    """A format of tables; `open_table` gives a `data.tables.settings.TableFile` of a path."""

    open_table: Callable[..., Any]
    suffixes: tuple[str, ...]


FORMATS = {
    "csv": Format(CsvFile, (".csv", ".tsv", ".tab", ".txt")),
    "jsonl": Format(JsonlFile, (".jsonl", ".ndjson", ".json")),
    "feather": Format(feather_file, (".feather", ".arrow", ".ipc")),
    "parquet": Format(parquet_file, (".parquet", ".pq")),
}
TABLE_SUFFIXES = tuple(suffix for known in FORMATS.values() for suffix in known.suffixes)


def format_of(path: Path) -> Format:
    """The format of a file by its suffix, compressed or not; delimited text where none is known."""
    name = path.name.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    matches = (known for known in FORMATS.values() if name.endswith(known.suffixes))
    return next(matches, FORMATS["csv"])
