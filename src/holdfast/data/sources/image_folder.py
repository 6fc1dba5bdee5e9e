"""Images in class folders, in folders of parts with class folders, or named in an index with their labels.

pets/cat/1.jpg, pets/dog/2.jpg                        a class a folder
pets/train/cat/1.jpg, pets/test/dog/2.jpg             parts: train, val and test
labels.csv with the columns path, label               and, where there are, split and group
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.core.tasks import class_task, task_of
from holdfast.data.first_look import Header, reading_begins
from holdfast.data.formats.csv import CsvFile
from holdfast.data.formats.files import existing_folder, files_of
from holdfast.data.formats.images import CHANNELS, SUFFIXES, Fit, ImageForm, image_form
from holdfast.data.images import Listing, file_problems, gray_or_rgb, image_rows
from holdfast.data.rows import TRAIN, Rows, parts_note
from holdfast.data.sources.table import load_table
from holdfast.data.tables.cells import texts_of
from holdfast.data.tables.settings import PART_WORDS, OnError, Task, table_settings
from holdfast.vault.rows.canonical_cells import MISSING_TEXTS

WHERE = "data.path"
INDEX = "data.index"
INDEX_SUFFIXES = (".csv", ".tsv")
# What a column may be called, in any letter case; the first that is there is taken.
INDEX_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path"),
    "label": ("label", "class", "target"),
    "split": ("split",),
    "group": ("group",),
}
IGNORED = ("thumbs.db", "desktop.ini")


def load(
    path: str | None = None,
    *,
    index: str | None = None,
    size: int | list[int] | None = None,
    mode: Literal["auto", "gray", "rgb", "rgba"] = "auto",
    fit: Fit = "stretch",
    task: Task = "auto",
    on_error: OnError = "stop",
) -> Rows:
    """Images as (n, H, W, C) pixels.

    Args:
        path: The folder; with an index, the folder that its paths are relative to (null: the index's own).
        index: A CSV with the columns path and label, and split (train, val, test) and group where there are.
        size: Height and width that every image is brought to: one number or [height, width]; None: they are all alike.
        mode: Of every image; auto: gray where all are, else rgb.
        fit: How an image of another size is brought to it.
        task: Whether the labels of an index are classes or values.
        on_error: What becomes of files that cannot be used: stop, or skip them and say which.

    Raises:
        InputError: One line for each file that cannot be used.
    """
    form = image_form(size, mode, fit)
    if path is None and index is None:
        raise InputError(WHERE, "is not given", next="data.path=FOLDER, or data.index=labels.csv")
    root = existing_folder(path, "data.path=FOLDER, or data.index=labels.csv") if path is not None else None
    if index is not None:
        files_of(index, INDEX, INDEX_SUFFIXES)
    if root is not None and index is None and on_error == "stop":  # else classes may be left out
        reading_begins(_header_of(root, form))
    reading_begins()
    listing = _from_folders(root or Path()) if index is None else _from_index(index, root, task, on_error)
    if not listing.images:
        if index is not None:
            raise_problems(file_problems(listing.problems, WHERE))
        raise InputError(WHERE, f"{path} has no images in its folders", allowed=", ".join(SUFFIXES))
    if mode == "auto":
        form = replace(form, mode=gray_or_rgb(listing.images))
    rows = image_rows(listing, form, task, skips=on_error == "skip")
    return replace(rows, files=_elsewhere(listing.images, root))


def _elsewhere(files: Sequence[Path], root: Path | None) -> tuple[str, ...]:
    """The paths outside the folder that are read: the files of an index without one, and folders behind links."""
    if root is None:
        return tuple(os.path.abspath(file) for file in files)
    folders, real = {file.parent for file in files}, root.resolve()
    return tuple(sorted(os.path.abspath(folder) for folder in folders if not folder.resolve().is_relative_to(real)))


# --- which files there are -----------------------------------------------------------------------------------------


def _header_of(root: Path, form: ImageForm) -> Header | None:
    """The shapes of rows that class folders and the asked-for size tell."""
    parts = {PART_WORDS.get(folder.name.lower()): folder for folder in _folders_in(root)}
    num_classes = len(_folders_in(parts[TRAIN] if TRAIN in parts and None not in parts else root))
    if form.size is None or num_classes < 2:
        return None
    task = class_task(num_classes)
    return Header(task, "image", (CHANNELS[form.mode], *form.size), task_of(task).num_outputs(num_classes))


def _from_folders(root: Path) -> Listing[Path]:
    folders = _folders_in(root)
    loose = [entry for entry in root.iterdir() if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    if not folders:
        problem = f"{root} has {len(loose)} images and no folders" if loose else f"{root} is empty"
        raise InputError(WHERE, problem, next="put the images into one folder a class, or give data.index=labels.csv")
    problems = [(entry.name, "is in no class folder") for entry in loose]
    part_of = {folder: PART_WORDS.get(folder.name.lower()) for folder in folders}
    has_parts = TRAIN in part_of.values() and None not in part_of.values()
    files, labels, codes = list[Path](), list[str](), list[int | None]()
    for folder, part in part_of.items() if has_parts else [(root, TRAIN)]:
        images, names = _classes_in(folder, root, problems)
        files, labels, codes = files + images, labels + names, codes + [part] * len(images)
    # A class that only other rows have cannot be learned.
    learned = {label for label, part in zip(labels, codes, strict=True) if part == TRAIN}
    problems += [(name, "is a class without train images") for name in sorted({*labels} - learned)]
    parts = np.array(codes, np.int8) if has_parts else None
    return Listing(
        files,
        labels,
        lambda place: _name(files[place], root),
        parts=parts,
        problems=problems,
        notes=[] if parts is None else [parts_note(parts)],
    )


def _classes_in(folder: Path, root: Path, problems: list[tuple[str, str]]) -> tuple[list[Path], list[str]]:
    """The images of all class folders and their classes; problems are added to those that there are."""
    files: list[Path] = []
    labels: list[str] = []
    classes = _folders_in(folder)
    if not classes:
        problems.append((_name(folder, root), "has no class folders"))
    for entry in classes:
        below = _files_below(entry)
        images = [file for file in below if file.name.lower().endswith(SUFFIXES)]
        others = [file for file in below if not file.name.lower().endswith(SUFFIXES)]
        problems += [(_name(file, root), f"is no image by its name ({file.suffix})") for file in others]
        if not images:
            problems.append((_name(entry, root), "is a class without images"))
        files += images
        labels += [entry.name] * len(images)
    return files, labels


def _folders_in(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry.name))


def _files_below(folder: Path) -> list[Path]:
    """The files below a folder that are not hidden, folder by folder, sorted; `os.walk` looks at no file twice."""
    files = []
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(at, name) for name in sorted(names) if not _is_hidden(name)]
    return files


def _from_index(index: str, root: Path | None, task: Task, on_error: OnError) -> Listing[Path]:
    (file,) = files_of(index, INDEX, INDEX_SUFFIXES)
    rows, paths = _read_index(file, task, on_error)
    files = [(root or file.parent) / path for path in paths]
    problems, there, seen = [], [], set()
    for place, (path, full) in enumerate(zip(paths, files, strict=True)):
        known = os.path.normpath(full)
        if not path:
            problems.append((file.name, "has a row without a path"))
        elif known in seen:
            problems.append((path, f"is in {file.name} more than once"))
        elif not full.is_file():
            problems.append((path, f"is in {file.name} and does not exist"))
        else:
            there.append(place)
        seen.add(known)
    notes = list(rows.notes)
    if root is not None:
        named = {full.resolve() for full in files}
        extra = sum(1 for entry in root.rglob("*") if entry.suffix.lower() in SUFFIXES and entry.resolve() not in named)
        notes += [f"{extra:,} images of {root} are not in {file.name} and are not used"] if extra else []
    images = [files[place] for place in there]
    return Listing(
        images,
        (np.array(rows.class_names)[rows.y] if rows.class_names else rows.y)[there],
        lambda place: _name(images[place], root),
        parts=None if rows.parts is None else rows.parts[there],
        groups=None if rows.groups is None else rows.groups[there],
        problems=problems,
        notes=notes,
    )


def _read_index(file: Path, task: Task, on_error: OnError) -> tuple[Rows, list[str]]:
    """The rows of an index as those of a table, and the path in each; empty where there is none."""
    try:
        table = CsvFile(file)
        columns = _columns_of(file, table.column_names())
        settings = {"target": columns["label"], "split_column": columns.get("split"), "group": columns.get("group")}
        # A path may be missing in one row, and the label in another.
        rows = load_table([(table, None)], table_settings({**settings, "task": task, "on_error": on_error}), file.name)
    except InputError as error:
        raise_problems([replace(problem, where=INDEX) for problem in error.problems])
    paths = []
    assert rows.table is not None
    for _, batch in rows.table.blocks([columns["path"]]):
        codes, texts = texts_of(batch.column(0), MISSING_TEXTS)
        paths += [texts[code] if code >= 0 else "" for code in codes.tolist()]
    return rows, paths


def _columns_of(file: Path, columns: Sequence[str]) -> dict[str, str]:
    """The columns that are used, by the names that they have here."""
    spelled = {name.lower(): name for name in reversed(columns)}
    matches = {name: [spelled[word] for word in words if word in spelled] for name, words in INDEX_COLUMNS.items()}
    lacking = [name for name in ("path", "label") if not matches[name]]
    allowed = f"its columns: {', '.join(columns)}"
    problems = [(f"{file} has no column {name!r}", allowed, did_you_mean(name, columns)) for name in lacking]
    raise_problems([Problem(INDEX, *problem) for problem in problems])
    return {name: names[0] for name, names in matches.items() if names}


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name.lower() in IGNORED


def _name(file: Path, root: Path | None) -> str:
    return str(file.relative_to(root)) if root is not None and file.is_relative_to(root) else str(file)
