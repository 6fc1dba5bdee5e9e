"""Files that a source reads, as path, size and time: enough to notice a change without reading them."""

from __future__ import annotations

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
    states = {path: state for path in _paths_of(source) if (state := _state(path)) is not None}
    return dict(sorted(states.items()))


def state_of_files(paths: Iterable[str]) -> dict[str, Any]:
    """Path -> its state as `source_state` has it; None where there is no such path."""
    return {path: _state(path) for path in paths}


def _paths_of(source: Mapping[str, Any]) -> list[str]:
    """Files and folders, absolute."""
    module = None if source["_target_"].startswith("holdfast.") else find_module_file(source["_target_"])
    return [*_paths_in(arguments(source)), *([str(module)] if module is not None else [])]


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
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not os.path.isdir(path):
        return [status.st_size, status.st_mtime_ns]
    count, total = 0, hashlib.sha256()
    for folder, states in _states_below(path):
        count += len(states)
        total.update("\0".join([folder, *states, ""]).encode(errors="surrogateescape"))
    return [count, total.hexdigest()]


def _states_below(path: str) -> Iterator[tuple[str, list[str]]]:
    """Each folder, and name, size and time of its files; links to folders below are not followed."""
    root = os.path.realpath(path)  # of a link itself, nothing would be seen
    for folder, folders, names, descriptor in os.fwalk(root):
        folders.sort()
        states = []
        for name in sorted(names):
            try:
                status = os.stat(name, dir_fd=descriptor)  # half of what a look at the whole path takes
            except OSError:
                continue
            states.append(f"{name}/{status.st_size} {status.st_mtime_ns}")
        yield os.path.relpath(folder, root), states
