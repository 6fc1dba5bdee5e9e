"""What a source reads, as path, size and time: enough to notice that a file has changed, without reading it."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from holdfast.data.targets import arguments, find_module_file

State = dict[str, list[int]]


def source_state(source: Mapping[str, Any]) -> State:
    """Absolute path -> [size, mtime in ns] of every file that the source may read.

    Every argument that names an existing file counts, and every file below an argument that names an existing folder;
    a glob stands for the files that match it.
    So does the user's own module that holds the source.
    """
    files = list(_files_of(arguments(source)))
    if not source["_target_"].startswith("holdfast."):
        module = find_module_file(source["_target_"])
        files += [str(module)] if module is not None else []
    return {path: state for path in sorted(set(files)) if (state := _state(path)) is not None}


def _files_of(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _files_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from _files_of(item)
    elif isinstance(value, str) and value and "\x00" not in value:
        yield from _files_at(Path(os.path.abspath(os.path.expanduser(value))))


def _files_at(path: Path) -> Iterator[str]:
    if os.path.isfile(path):
        yield str(path)
    elif os.path.isdir(path):
        for folder, _, names in os.walk(path):
            yield from (os.path.join(folder, name) for name in names)
    elif glob.has_magic(str(path)):
        yield from (name for name in glob.iglob(str(path), recursive=True) if os.path.isfile(name))


def _state(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
