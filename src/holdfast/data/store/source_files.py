"""Files that a source reads, as path, size and time: enough to notice a change without reading them."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from holdfast.config.resolve import arguments, find_module_file

State = dict[str, list[Any]]


def source_state(source: Mapping[str, Any]) -> State:
    """The state of everything that the source may read.

    Every argument that names an existing file counts, and every file below an argument that names an existing folder;
    a glob stands for the files that match it. So does the user's own module that holds the source.

    Returns:
        Absolute path of a file -> [size, mtime in ns]; of a folder -> [files below it, SHA-256 of their names and
        states].
    """
    paths = set(_paths_in(arguments(source)))
    if module := None if source["_target_"].startswith("holdfast.") else find_module_file(source["_target_"]):
        paths.add(str(module))
    return {path: state for path in sorted(paths) if (state := _state(path)) is not None}


def state_of_files(paths: Iterable[str]) -> dict[str, Any]:
    """Path -> its state as `source_state` has it; None where there is no such path."""
    return {path: _state(path) for path in paths}


def _paths_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _paths_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _paths_in(item)
    elif isinstance(value, str) and value and "\x00" not in value:
        path = os.path.abspath(os.path.expanduser(value))
        if os.path.exists(path):
            yield path
        elif glob.has_magic(path):
            yield from (name for name in glob.iglob(path, recursive=True) if os.path.isfile(name))


def _state(path: str) -> list[Any] | None:
    """Size and time of a file; of a folder, of all files below it, links to other folders not followed."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not os.path.isdir(path):
        return [status.st_size, status.st_mtime_ns]
    count, total = 0, hashlib.sha256()
    root = os.path.realpath(path)  # of a link itself, nothing would be seen
    for folder, folders, names, descriptor in os.fwalk(root):
        folders.sort()
        states = [os.path.relpath(folder, root)]
        for name in sorted(names):
            with contextlib.suppress(OSError):
                status = os.stat(name, dir_fd=descriptor)  # half of what a look at the whole path takes
                states.append(f"{name}/{status.st_size} {status.st_mtime_ns}")
                count += 1
        total.update("\0".join([*states, ""]).encode(errors="surrogateescape"))
    return [count, total.hexdigest()]
