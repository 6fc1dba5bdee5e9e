"""MNIST (LeCun, Bottou, Bengio and Haffner 1998) from its four IDX files, given or downloaded."""

from __future__ import annotations

import gzip
import os
import sys
import urllib.request
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.core.files import sha256_hex, write_atomic
from holdfast.data.first_look import reading_begins
from holdfast.data.formats.files import existing_folder, opened
from holdfast.data.rows import TEST, TRAIN, Rows

WHERE = "data.path"
IMAGES, LABELS = 0x0803, 0x0801
CONTENT = {IMAGES: "images", LABELS: "labels"}
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
TIMEOUT_S = 15
# Of the decompressed content: mirrors compress differently.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FILES = tuple(SHA256)


def load(path: str | None = None) -> Rows:
    """60,000 images of 28x28 pixels and 10,000 official test images; any files in MNIST's format will do.

    `path` is the folder with the four files, plain or `.gz`; None downloads MNIST itself into the store.

    Raises:
        InputError: Files are missing, cannot be read or do not fit each other.
    """
    files = _find(existing_folder(path, _advice())) if path is not None else {}
    reading_begins()
    files = files or _download(places.store() / "downloads" / "mnist")
    problems: list[Problem] = []
    parts: list[NDArray[np.uint8]] = []
    for name, file in files.items():
        try:
            parts.append(_read(file, LABELS if "labels" in name else IMAGES))
        except InputError as error:
            problems += error.problems
    raise_problems(problems)
    train_x, train_y, test_x, test_y = parts
    for name, x, y in (("train", train_x, train_y), ("t10k", test_x, test_y)):
        if len(x) != len(y):
            raise InputError(WHERE, f"{name} has {len(x)} images and {len(y)} labels", next="take both from one set")
    if train_x.shape[1:] != test_x.shape[1:]:
        raise InputError(WHERE, f"train images are {train_x.shape[1:]} pixels, t10k images {test_x.shape[1:]}")
    y = np.concatenate((train_y, test_y)).astype(np.int64)
    if y.max() > 9:
        raise InputError(WHERE, f"has a label {y.max()}", allowed="labels 0 to 9")
    return Rows(
        x=np.concatenate((train_x, test_x))[..., None],
        y=y,
        task="multiclass",
        kind="image",
        class_names=tuple("0123456789"),
        parts=np.repeat(np.array([TRAIN, TEST], np.int8), [len(train_y), len(test_y)]),
    )


def _find(folder: Path) -> dict[str, Path]:
    """The four files in `folder`, by their canonical names."""
    files = {}
    for name in FILES:
        spellings = (name, name + ".gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz")
        if matches := [folder / spelling for spelling in spellings if os.path.isfile(folder / spelling)]:
            files[name] = matches[0]
    if missing := [name for name in FILES if name not in files]:
        raise InputError(WHERE, f"{folder} has no {', no '.join(missing)} (plain or .gz)", next=_advice())
    return files


def _read(file: Path, magic: int) -> NDArray[np.uint8]:
    """The bytes in an IDX file, whose header is big-endian words: magic, and one size an axis."""
    with opened(file) as stream:
        content = stream.read()
    axes, actual = magic & 0xFF, int.from_bytes(content[:4], "big")
    header = np.frombuffer(content[4 : 4 + 4 * axes].ljust(4 * axes, b"\0"), ">u4")
    size, expected = len(content) - 4 - 4 * axes, int(np.prod(header, dtype=object))
    if actual != magic:
        problem = f"{file} is no IDX file of {CONTENT[magic]}: it starts with {actual:#010x}, expected {magic:#010x}"
        raise InputError(WHERE, problem, next="are two files swapped?" if actual in CONTENT else "")
    if not expected or size != expected:
        problem = f"{file} is empty, truncated or goes on: {size} bytes after the header, expected {expected}"
        raise InputError(WHERE, problem)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(header)


def _download(folder: Path) -> dict[str, Path]:
    """The four files of MNIST in `folder`, fetched where they are not yet there."""
    files = {name: folder / f"{name}.gz" for name in FILES}
    for name, file in files.items():
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(file, _fetch(name))
    return files


def _fetch(name: str) -> bytes:
    reasons = []
    for mirror in MIRRORS:
        print(f"holdfast: downloading {mirror}{name}.gz", file=sys.stderr, flush=True)
        try:
            with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=TIMEOUT_S) as answer:
                content: bytes = answer.read()
            if sha256_hex(gzip.decompress(content)) == SHA256[name]:
                return content
            reasons.append("its SHA-256 is not that of MNIST")
        except (OSError, EOFError, zlib.error) as error:
            reasons.append(str(getattr(error, "reason", error)))
    raise InputError(WHERE, f"MNIST cannot be downloaded ({'; '.join(reasons)})", next=_advice())


def _advice() -> str:
    return f"put {', '.join(FILES)} (plain or .gz) into one folder and give data.path=FOLDER"
