"""What a source reads, as path, size and time: enough to notice that a file has changed, without reading it."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from holdfast.core.files import sha256_file
from holdfast.data.targets import arguments, find_module_file

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


def state_of_files(paths: Iterable[str], *, contents: bool) -> dict[str, Any]:
    """Path -> its state as `source_state` has it, or the SHA-256 of its contents; None where there is no such path."""
    return {path: (_sha256_of(path) if contents else _state(path)) for path in paths}


def content_sha256(source: Mapping[str, Any]) -> str:
    """SHA-256 over the names and contents of everything that the source may read."""
    total = hashlib.sha256()
    for path in sorted(set(_paths_of(source))):
        total.update(f"{_sha256_of(path)}\0".encode())
    return total.hexdigest()


def _sha256_of(path: str) -> str | None:
    """Of the contents of a file, or of the names and contents of all files below a folder."""
    if not os.path.isdir(path):
        return sha256_file(Path(path)) if os.path.isfile(path) else None
    total = hashlib.sha256()
    for name in _files_below(path):
        total.update(f"{name}\0{sha256_file(Path(path, name))}\0".encode(errors="surrogateescape"))
    return total.hexdigest()


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
        found = os.stat(path)
    except OSError:
        return None
    if not os.path.isdir(path):
        return [found.st_size, found.st_mtime_ns]
    count, total = 0, hashlib.sha256()
    for folder, states in _states_below(path):
        count += len(states)
        total.update("\0".join([folder, *states, ""]).encode(errors="surrogateescape"))
    return [count, total.hexdigest()]


def _states_below(path: str) -> Iterator[tuple[str, list[str]]]:
    """Each folder, and name, size and time of its files; links to folders are not followed."""
    for folder, folders, names, descriptor in os.fwalk(path):
        folders.sort()
        states = []
        for name in sorted(names):
            try:
                found = os.stat(name, dir_fd=descriptor)  # half of what a look at the whole path takes
            except OSError:
                continue
            states.append(f"{name}/{found.st_size} {found.st_mtime_ns}")
        yield os.path.relpath(folder, path), states


def _files_below(path: str) -> Iterator[str]:
    """Relative names, in order."""
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (os.path.relpath(os.path.join(folder, name), path) for name in sorted(names))
