"""Images in class folders, in folders of parts with class folders, or named in an index with their labels.

pets/cat/1.jpg, pets/dog/2.jpg                        a class a folder
pets/train/cat/1.jpg, pets/test/dog/2.jpg             parts: train, val and test
labels.csv with the columns path, label               and, where there are, split and group
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.data.first_look import has_first_look, reading_begins
from holdfast.data.formats.files import files_of
from holdfast.data.formats.images import SUFFIXES, Fit, ImageForm
from holdfast.data.images.index import Index, read_index
from holdfast.data.images.read import decoded, gray_or_rgb, listed, sizes_problem, skipped_notes
from holdfast.data.raw import EncodedImages
from holdfast.data.rows import TEST, TRAIN, VAL, Rows
from holdfast.data.spool import Spool
from holdfast.data.tables.cells import Vocabulary
from holdfast.data.tables.labels import target_of
from holdfast.data.tables.settings import PART_WORDS, OnError, Task
from holdfast.data.views import ImageView

WHERE = "data.path"
INDEX_SUFFIXES = (".csv", ".tsv")
IGNORED = ("thumbs.db", "desktop.ini")
IN_MEMORY_BYTES = 64 * 2**20
MAX_SIDE = 16_384


@dataclass(frozen=True, eq=False)
class Listing:
    """The files of a data set before any is opened.

    Attributes:
        files: In the order of the rows.
        labels: What the index or the folder says of each: texts, or numbers.
        parts: (n,) int8, or None.
        groups: What the index says, or None.
        problems: Names of files and what is wrong with them.
        notes: What else there is to say.
    """

    files: list[Path]
    labels: list[Any]
    parts: NDArray[np.int8] | None
    groups: list[Any] | None
    problems: list[tuple[str, str]]
    notes: list[str]


@has_first_look
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
    form = _form(size, mode, fit)
    if path is None and index is None:
        raise InputError(WHERE, "is not given", next="data.path=FOLDER, or data.index=labels.csv")
    root = _folder(path) if path is not None else None
    if index is not None:
        files_of(index, "data.index", INDEX_SUFFIXES)
    reading_begins()
    listing = _from_index(index, root) if index is not None else _from_folders(root or Path())
    if not listing.files:
        if index is not None:
            raise_problems(listed(listing.problems, WHERE))
        raise InputError(WHERE, f"{path} has no images in its folders", allowed=", ".join(SUFFIXES))
    if mode == "auto":
        form = replace(form, mode=gray_or_rgb(listing.files))
    return _rows(listing, form, task, skips=on_error == "skip", root=root)


def _rows(listing: Listing, form: ImageForm, task: str, *, skips: bool, root: Path | None) -> Rows:
    spool: Spool | None = None
    good: list[NDArray[np.int64]] = []
    digests: list[NDArray[np.uint8]] = []
    of_bytes: list[NDArray[np.uint8]] = []
    nbytes = 0
    problems = list(listing.problems)
    sizes: Counter[tuple[int, int]] = Counter()
    for found in decoded(listing.files, form):
        sizes += found.sizes
        problems += [(_name(listing.files[place], root), what) for place, what in found.problems]
        if skips or not problems:
            spool = spool or Spool(found.pixels.shape[1:], np.uint8)
            spool.append(found.pixels)
            good.append(found.good)
            digests.append(found.digests)
            of_bytes.append(found.bytes_digests)
            nbytes += found.nbytes
    if form.size is None and len(sizes) > 1:
        raise_problems([sizes_problem(sizes), *([] if skips else listed(problems, WHERE))])
    if problems and (not skips or spool is None or not len(spool)):
        raise_problems(listed(problems, WHERE))
    assert spool is not None
    kept = np.concatenate(good)
    target = _target([listing.labels[place] for place in kept.tolist()], task)
    parts = None if listing.parts is None else listing.parts[kept]
    notes = [*listing.notes, *skipped_notes(problems)]
    if parts is not None:
        counts = np.bincount(parts, minlength=3).tolist()
        notes.append(
            f"the source declares {counts[TRAIN]:,} train, {counts[VAL]:,} val and {counts[TEST]:,} test rows; "
            "split=auto and predefined keep to that"
        )
    height, width, channels = spool.shape[1:]
    files = [listing.files[place] for place in kept.tolist()]
    bytes_digests = np.concatenate(of_bytes)
    print(f"holdfast: {len(kept):,} images of {height}x{width}x{channels}; {target.words}", file=sys.stderr, flush=True)
    return Rows(
        x=spool[:] if spool.nbytes <= IN_MEMORY_BYTES else spool,
        y=target.y,
        task=target.task,
        kind="image",
        class_names=target.class_names,
        groups=_groups(listing.groups, kept),
        parts=parts,
        images=EncodedImages(lambda row: files[row].read_bytes(), bytes_digests, nbytes),
        digests=np.concatenate(digests),
        other_digests=(bytes_digests,),
        view=ImageView(form.mode, (height, width), form.fit).as_dict(),
        notes=tuple(notes),
        files=_elsewhere(listing.files, root),
    )


def _elsewhere(files: Sequence[Path], root: Path | None) -> tuple[str, ...]:
    """What is read outside the folder: the files of an index without one, and folders behind links."""
    if root is None:
        return tuple(os.path.abspath(file) for file in files)
    folders, real = {os.path.dirname(file) for file in files}, root.resolve()
    return tuple(sorted(os.path.abspath(one) for one in folders if not Path(one).resolve().is_relative_to(real)))


# --- which files there are -----------------------------------------------------------------------------------------


def _from_folders(root: Path) -> Listing:
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not _is_hidden(entry.name))
    loose = [entry for entry in root.iterdir() if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    if not folders:
        what = f"{root} has {len(loose)} images and no folders" if loose else f"{root} is empty"
        raise InputError(WHERE, what, next="put the images into one folder a class, or give data.index=labels.csv")
    parts = [PART_WORDS.get(folder.name.lower()) for folder in folders]
    found = Listing([], [], None, None, [(entry.name, "is in no class folder") for entry in loose], [])
    if TRAIN in parts and None not in parts:
        codes: list[int] = []
        for folder, part in zip(folders, parts, strict=True):
            _add_classes(folder, root, found)
            codes += [part or 0] * (len(found.files) - len(codes))
        _check_classes(found, np.array(codes))
        return replace(found, parts=np.array(codes, np.int8))
    _add_classes(root, root, found)
    return found


def _add_classes(folder: Path, root: Path, found: Listing) -> None:
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry.name))
    if not classes:
        found.problems.append((_name(folder, root), "has no class folders"))
    for entry in classes:
        files = _files_below(entry)
        images = [file for file in files if file.name.lower().endswith(SUFFIXES)]
        others = [file for file in files if not file.name.lower().endswith(SUFFIXES)]
        found.problems.extend((_name(file, root), f"is no image by its name ({file.suffix})") for file in others)
        if not images:
            found.problems.append((_name(entry, root), "is a class without images"))
        found.files.extend(images)
        found.labels.extend([entry.name] * len(images))


def _files_below(folder: Path) -> list[Path]:
    """All files that are not hidden, folder by folder, names sorted; `os.walk` looks at no file twice."""
    found = []
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(at, name) for name in sorted(names) if not _is_hidden(name)]
    return found


def _check_classes(found: Listing, parts: NDArray[np.int64]) -> None:
    """A class that only test rows have cannot be learned."""
    labels = np.array(found.labels, object)
    for name in sorted(set(labels[parts != TRAIN]) - set(labels[parts == TRAIN])):
        found.problems.append((name, "is a class without train images"))


def _from_index(index: str, root: Path | None) -> Listing:
    (file,) = files_of(index, "data.index", INDEX_SUFFIXES)
    table: Index = read_index(file)
    base = root if root is not None else file.parent
    files = [base / path for path in table.paths]
    problems, notes, there = list(table.problems), [], []
    seen: dict[str, int] = {}
    for place, (full, row) in enumerate(zip(files, table.rows, strict=True)):
        first = seen.setdefault(os.path.normpath(full), row)
        if first != row:
            problems.append((table.paths[place], f"is in {file.name} more than once (rows {first} and {row})"))
        elif not full.is_file():
            problems.append((table.paths[place], f"is in {file.name} (row {row}) and does not exist"))
        else:
            there.append(place)
    if root is not None:
        named = {full.resolve() for full in files}
        extra = sum(1 for entry in root.rglob("*") if entry.suffix.lower() in SUFFIXES and entry.resolve() not in named)
        notes = [f"{extra:,} images of {root} are not in {file.name} and are not used"] if extra else []
    return Listing(
        [files[place] for place in there],
        [table.labels[place] for place in there],
        None if table.parts is None else table.parts[there],
        None if table.groups is None else [table.groups[place] for place in there],
        problems,
        notes,
    )


def _folder(path: str) -> Path:
    root = Path(path).expanduser()
    if not root.exists():
        raise InputError(WHERE, f"{root} does not exist")
    if not root.is_dir():
        raise InputError(WHERE, f"{root} is a file, not a folder", next="data.path=FOLDER, or data.index=labels.csv")
    try:
        next(root.iterdir(), None)
    except PermissionError:
        raise InputError(WHERE, f"{root} cannot be read: no permission", next=f"chmod u+rx {root}") from None
    return root


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name.lower() in IGNORED


def _name(file: Path, root: Path | None) -> str:
    return str(file.relative_to(root)) if root is not None and file.is_relative_to(root) else str(file)


# --- settings and targets ------------------------------------------------------------------------------------------


def _form(size: int | Sequence[int] | None, mode: str, fit: str) -> ImageForm:
    problems = []
    sides = [size, size] if isinstance(size, int) else list(size) if isinstance(size, list | tuple) else size
    if sides is not None and not (
        isinstance(sides, list)
        and len(sides) == 2
        and all(isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= MAX_SIDE for side in sides)
    ):
        problems.append(Problem("data.size", f"is {size!r}", "a number of pixels, or [height, width]"))
    for where, value, allowed in (
        ("data.mode", mode, ("auto", "gray", "rgb", "rgba")),
        ("data.fit", fit, ("stretch", "crop", "pad")),
    ):
        if value not in allowed:
            problems.append(Problem(where, f"is {value!r}", ", ".join(allowed)))
    raise_problems(problems)
    known: Any = "rgb" if mode == "auto" else mode
    return ImageForm(known, None if sides is None else (sides[0], sides[1]), fit)  # type: ignore[arg-type]


def _target(labels: list[Any], task: str) -> Any:
    """Classes from the names of folders, or what an index says."""
    vocabulary = Vocabulary()
    if all(isinstance(label, float) for label in labels):
        return target_of(["label"], [np.array(labels, np.float64)], [vocabulary], task)
    names = sorted({str(label) for label in labels})
    code_of = {name: code for code, name in enumerate(names)}
    vocabulary.texts = names
    codes = np.array([code_of[str(label)] for label in labels], np.int64)
    return target_of(["label"], [codes], [vocabulary], task)


def _groups(groups: list[Any] | None, kept: NDArray[np.int64]) -> NDArray[np.int64] | None:
    if groups is None:
        return None
    _, codes = np.unique(np.array([str(groups[place]) for place in kept.tolist()]), return_inverse=True)
    return codes.astype(np.int64).reshape(-1)
