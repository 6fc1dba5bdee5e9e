"""Identity of rows: digests of their content, whatever the file, the name, the order or the storage.

A digest is BLAKE2b-128 (RFC 7693) over the canonical form of one row's features:

    image   "image", H, W, C, then uint8 pixels in HWC order; floats k/255 or k/127.5 - 1, integers and CHW become that
    table   its cells (`vault.rows.canonical_cells`) in the order of the columns' sorted names; names themselves do not
            count. Where every cell is a number: the numbers; else the words of all cells
    array   dtype, shape and bytes

So a table is known again as CSV, Parquet, JSON lines or arrays, in float64 or float32, whole numbers beyond 2**24 in
float32 left out: there they are other numbers. Where columns have no names, they count in the order they are in.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from holdfast.vault.rows.canonical_cells import WORD_BYTES, Cells, Mixed, canonical_numbers, is_numeric, words_of

DIGEST_BYTES = 16
BLOCK_BYTES = 4 * 2**20
TARGET_ROWS = 2**16
CHANNELS = (1, 3, 4)

Array: TypeAlias = NDArray[Any]


class RowArray(Protocol):
    """An array of rows, or what gives rows as it is indexed, by slices and by arrays of numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, then the shape of one."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    @property
    def nbytes(self) -> int:
        """The size of all rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: Any, /) -> Array: ...


def row_digests(x: RowArray, *, kind: str, feature_names: Sequence[str] = ()) -> NDArray[np.uint8]:
    """(n, 16) digests of every row's features, targets left out; equal where the canonical rows are equal.

    A memory map is read in blocks. Equal tables with columns in another order have equal digests.
    """
    if kind not in ("image", "table", "array"):
        raise ValueError(f"kind {kind!r} is none of image, table, array")
    digests = np.empty((len(x), DIGEST_BYTES), np.uint8)
    size = max(1, BLOCK_BYTES // max(1, x[:1].nbytes))
    for start in range(0, len(x), size):
        block = np.asarray(x[start : start + size])
        rows = slice(start, start + len(block))
        digests[rows] = table_digests(columns_of(block, feature_names)) if kind == "table" else _array_digests(block)
    return digests


def columns_of(block: Array, names: Sequence[str] = ()) -> dict[str, Cells]:
    """The columns of (n, columns) rows by their names; columns without names keep their order."""
    names = names or [f"{place:08d}" for place in range(block.shape[1])]
    return dict(zip(names, block.T, strict=True))


def table_digests(cells: Mapping[str, Cells]) -> NDArray[np.uint8]:
    """(n, 16) digests of a table's rows from its cells, column by column; a block of rows at a time will do.

    Args:
        cells: By column name: (n,) numbers, NaN where missing (whole numbers as integers, so that they are exact); or
            (n,) codes, -1 where missing, and the texts that they stand for; or (n,) objects.
    """
    folded = {name: unicodedata.normalize("NFC", name) for name in cells}
    columns = [cells[name] for name in sorted(cells, key=folded.__getitem__)]
    num_rows = len(columns[0][0] if isinstance(columns[0], tuple) else columns[0])
    size = max(1, BLOCK_BYTES // (WORD_BYTES * len(columns)))
    digests = np.empty((num_rows, DIGEST_BYTES), np.uint8)
    for start in range(0, num_rows, size):
        rows = slice(start, start + size)
        digests[rows] = _cell_digests([_rows_of(column, rows) for column in columns])
    return digests


def targeted_digests(digests: RowArray, y: Array, class_names: Sequence[str]) -> NDArray[np.uint8]:
    """(n, 16) digests of rows with their targets; classes count by their names, not by their numbers."""
    targeted = np.empty((len(y), DIGEST_BYTES), np.uint8)
    for start in range(0, len(y), TARGET_ROWS):
        part = np.asarray(y[start : start + TARGET_ROWS])
        words = _target_bytes(part, class_names)
        targeted[start : start + len(part)] = _digests_after(
            "target", np.concatenate([digests[start : start + len(part)], words], axis=1)
        )
    return targeted


def _target_bytes(y: Array, class_names: Sequence[str]) -> NDArray[np.uint8]:
    """(n, bytes) the bytes of targets, the same whatever type of numbers they come in."""
    if y.ndim == 1:
        cells: Cells = (y, class_names) if class_names else y
        return words_of(cells)[0]
    if y.dtype.kind != "f":  # labels of 0 and 1
        return y.astype(np.uint8)
    return np.concatenate([words_of(column)[0] for column in y.T], axis=1)


def target_words(y: Array, class_names: Sequence[str]) -> NDArray[np.uint8]:
    """(n, 16) what targets are known by without their rows."""
    return targeted_digests(np.zeros((len(y), DIGEST_BYTES), np.uint8), y, class_names)


def hash_rows(start: hashlib.blake2b, rows: Array) -> NDArray[np.uint8]:
    """(n, 16) hashes of the bytes of (n, ...) rows, each after what `start` has taken in."""
    flat = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
    width = len(flat) // len(rows)
    digests = []
    for place in range(0, len(rows) * width, width) if width else [0] * len(rows):
        row = start.copy()
        row.update(flat[place : place + width])
        digests.append(row.digest())
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)


def _digests_after(header: str, rows: Array) -> NDArray[np.uint8]:
    """(n, 16) digests of the bytes of (n, ...) rows, each after the same header."""
    start = hashlib.blake2b(header.encode() + b"\x00", digest_size=DIGEST_BYTES, person=b"holdfast row 1")
    return hash_rows(start, rows)


# --- images and other arrays -----------------------------------------------------------------------------------------


def _array_digests(block: Array) -> NDArray[np.uint8]:
    """Rows that are images in disguise are hashed as images, the others as they are."""

    def plain() -> NDArray[np.uint8]:
        little = block.astype(block.dtype.newbyteorder("<"), copy=False)
        return _digests_after(f"array {little.dtype.str} {block.shape[1:]}", little)

    if block.ndim not in (3, 4) or block.dtype.kind not in "uif":
        return plain()
    pixels, is_image = _as_pixels(_as_hwc(block))
    images = _digests_after("image {} {} {}".format(*pixels.shape[1:]), pixels)
    return images if is_image.all() else np.where(is_image[:, None], images, plain())


def _as_hwc(block: Array) -> Array:
    if block.ndim == 3:
        return block[..., None]
    if block.shape[1] in CHANNELS and block.shape[3] not in CHANNELS:
        return np.moveaxis(block, 1, 3)
    return block


def _as_pixels(block: Array) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(n, H, W, C) as uint8, and which rows hold pixels at all: integers 0..255, floats k/255, or those in -1..1."""
    if block.dtype == np.uint8:
        return block, np.ones(len(block), bool)
    flat = block.reshape(len(block), -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        is_scaled: NDArray[np.bool_] = np.logical_and(block.dtype.kind == "f", flat.max(axis=1) <= 1.0)
        low = flat.min(axis=1)
        is_centred = is_scaled & (low < 0) & (low >= -1.0)
        flat[is_centred] = (flat[is_centred] + 1.0) / 2.0
        flat[is_scaled] *= 255.0
        pixels = np.rint(flat)
        near = np.abs(flat - pixels) <= np.where(is_scaled, 255 * np.finfo(np.float16).eps / 4, 0.0)[:, None]
        is_pixel = near & (pixels >= 0) & (pixels <= 255)
        is_image: NDArray[np.bool_] = np.logical_and.reduce(is_pixel, axis=1)
        return np.where(is_image[:, None], pixels, 0).astype(np.uint8).reshape(block.shape), is_image


# --- tables -----------------------------------------------------------------------------------------------------------


def _rows_of(cells: Cells, rows: slice) -> Cells:
    if isinstance(cells, Mixed):
        return Mixed(cells.numbers[rows], cells.codes[rows], cells.texts)
    return (cells[0][rows], cells[1]) if isinstance(cells, tuple) else cells[rows]


def _cell_digests(columns: Sequence[Cells]) -> NDArray[np.uint8]:
    """Digests of rows from their columns; a row that holds numbers alone has the digest of those numbers."""
    if all(is_numeric(column) for column in columns):
        numbers = canonical_numbers(np.column_stack([np.asarray(column) for column in columns]))
        return _digests_after(f"table numbers {len(columns)}", numbers)
    pairs = [words_of(column) for column in columns]
    words = np.stack([word for word, _ in pairs], axis=1)
    is_mixed = np.logical_or.reduce([is_text for _, is_text in pairs])
    digests = np.empty((len(words), DIGEST_BYTES), np.uint8)
    for rows, kind in ((~is_mixed, "numbers"), (is_mixed, "mixed")):
        content = words[rows] if kind == "mixed" else words[rows, :, :8]
        if len(content):
            digests[rows] = _digests_after(f"table {kind} {len(columns)}", content)
    return digests
