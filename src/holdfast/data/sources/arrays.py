"""Arrays in files: `.npy` (with a second file of targets) and `.npz` (with keys)."""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.core.errors import InputError, did_you_mean
from holdfast.data.arrays import Layout, describe, rows_from_arrays
from holdfast.data.first_look import reading_begins
from holdfast.data.formats.files import files_of
from holdfast.data.in_memory import handed_over
from holdfast.data.rows import TRAIN, Rows
from holdfast.data.tables.settings import PART_WORDS, Task

WHERE = "data.path"
SUFFIXES = (".npy", ".npz")
X_KEYS = ("x", "X", "data", "images", "features", "inputs", "arr_0")
Y_KEYS = ("y", "Y", "labels", "label", "targets", "target", "arr_1")


def load(
    path: str | None = None,
    *,
    y_path: str | None = None,
    x_key: str | None = None,
    y_key: str | None = None,
    layout: Layout = "auto",
    task: Task = "auto",
) -> Rows:
    """Features and targets of one set; see `rows_from_arrays` for what they may be.

    Args:
        path: A `.npy` file of features, or a `.npz` file with features and targets.
        y_path: The `.npy` file of targets, where `path` has none.
        x_key: The name of the features in `path`; None: x, data, images or the like, or x_train, x_val and x_test.
        y_key: Likewise of the targets.
        layout: The axes of images where they cannot be told.
        task: Whether targets are classes or values.

    Raises:
        InputError: A file cannot be read, or its arrays cannot be used.
    """
    (file,) = files_of(path, WHERE, SUFFIXES)[:1]
    y_file = None if y_path is None else files_of(y_path, "data.y_path", SUFFIXES)[0]
    reading_begins()
    arrays = read_arrays(file)
    parts = None
    if y_file is not None:
        x, y = _only(arrays, x_key, X_KEYS, "x_key"), _only(read_arrays(y_file, "data.y_path"), y_key, Y_KEYS, "y_key")
    elif x_key is None and y_key is None and (part_names := _parts_of(arrays)):
        x, y = (_joined(arrays, names) for names in zip(*part_names.values(), strict=True))
        lengths = [len(arrays[names[0]]) for names in part_names.values()]
        parts = np.repeat(np.array(list(part_names), np.int8), lengths)
    elif len(arrays) == 1:
        only = f"{file} has one array ({describe(next(iter(arrays.values())))})"
        raise InputError("data.y_path", f"is not given, and {only}", next="data.y_path=FILE names the targets")
    else:
        x, y = _only(arrays, x_key, X_KEYS, "x_key"), _only(arrays, y_key, Y_KEYS, "y_key")
    rows = rows_from_arrays(x, y, layout=layout, task=task, parts=parts)
    assert rows.x is not None
    kind = "images" if rows.kind == "image" else rows.kind
    classes = f" with {len(rows.class_names)} classes" if rows.class_names else ""
    words = f"{len(rows):,} rows, {kind} of {rows.x.dtype} {tuple(rows.x.shape[1:])}; {rows.task}{classes}"
    print(f"holdfast: {file.name}: {words}", file=sys.stderr, flush=True)
    return rows


def memory_arrays(*, content: str | None = None, layout: Layout = "auto", task: Task = "auto") -> Rows:
    """Features and targets of `holdfast.train(data=x, target=y)`, known by the SHA-256 of their content."""
    return load(str(handed_over(content)), layout=layout, task=task)


def read_arrays(file: Path, where: str = WHERE) -> Mapping[str, Any]:
    """The arrays in a file by name; a `.npy` file is mapped, its one array is called x."""
    try:
        content = np.load(file, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"x": content}
        with content:
            return {name: content[name] for name in content.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        reason = " ".join(str(error).split())[:150]
        problem = f"{file} is no {file.suffix} file, a damaged one, or one of Python objects ({reason})"
        raise InputError(where, problem) from None


def features_of(arrays: Mapping[str, Any], key: str | None) -> Any:
    """The features among the arrays of a file; an InputError where it cannot be told which they are."""
    return _only(arrays, key if key in arrays else None, X_KEYS, "x_key")


def _only(arrays: Mapping[str, Any], key: str | None, usual: Sequence[str], setting: str) -> Any:
    if not arrays:
        raise InputError(WHERE, "the file has no arrays")
    if len(arrays) == 1 and key is None:
        return next(iter(arrays.values()))
    matches = [key] if key is not None else [name for name in usual if name in arrays]
    if not matches or matches[0] not in arrays:
        known = ", ".join(f"{name} ({describe(array)})" for name, array in arrays.items())
        problem = f"there is no array {key!r}" if key is not None else "is not given"
        raise InputError(f"data.{setting}", problem, f"the file has {known}", did_you_mean(key or "", list(arrays)))
    return arrays[matches[0]]


def _joined(arrays: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The arrays of all parts, one after the other."""
    if len({arrays[name].shape[1:] for name in names}) > 1:
        shown = ", ".join(f"{name} ({describe(arrays[name])})" for name in names)
        raise InputError(WHERE, f"the rows of its parts have several shapes: {shown}")
    return np.concatenate([arrays[name] for name in names])


def _parts_of(arrays: Mapping[str, Any]) -> dict[int, tuple[str, str]]:
    """The names of features and targets of each part, where the arrays are named x_train, y_train and so on."""
    part_names = {}
    for word, part in PART_WORDS.items():
        xs = [name for key in X_KEYS for name in (f"{key}_{word}", f"{word}_{key}") if name in arrays]
        ys = [name for key in Y_KEYS for name in (f"{key}_{word}", f"{word}_{key}") if name in arrays]
        if xs and ys:
            part_names[part] = (xs[0], ys[0])
        elif xs or ys:
            lacking = "targets" if xs else "features"
            print(f"holdfast: {(xs or ys)[0]} has no {lacking} and is not used", file=sys.stderr)
    return part_names if TRAIN in part_names else {}
