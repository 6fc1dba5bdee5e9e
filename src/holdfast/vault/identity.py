"""What makes two rows the same row: digests of content, whatever the file, the name, the order or the storage.

A digest is BLAKE2b-256 (RFC 7693) over the canonical form of one row's features:

    image   "image", H, W, C, then uint8 pixels in HWC order; floats k/255, integers 0..255 and CHW are turned into that
    table   columns in the order of their sorted names; float64 little-endian, one NaN, no negative zero;
            integers beyond 2**53 as decimal text; text in NFC
    array   dtype, shape and bytes
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 32
BLOCK_BYTES = 4 * 2**20
PIECE_ROWS = 4096
EXACT_INTEGER = 2**53
CHANNELS = (1, 3, 4)
NAN = np.frombuffer(b"\x00\x00\x00\x00\x00\x00\xf8\x7f", "<f8")[0]

Array: TypeAlias = NDArray[Any]


class RowArray(Protocol):
    """An array of rows, or what gives rows as it is indexed, by slices and by arrays of numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, then the shape of one."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    @property
    def nbytes(self) -> int:
        """The size of all rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: Any, /) -> Array: ...


def row_digests(x: RowArray, *, kind: str, feature_names: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Digest every row's features, targets left out.

    Args:
        x: (n, ...) rows; a memory map is read in blocks.
        kind: "image", "table" or "array".
        feature_names: Names of a table's columns; equal tables with columns in another order have equal digests.

    Returns:
        (n, 32) bytes, equal where the canonical rows are equal.
    """
    order = _column_order(x, feature_names) if kind == "table" else None
    if kind not in ("image", "table", "array"):
        raise ValueError(f"kind {kind!r} is none of image, table, array")
    digests, done = np.empty((len(x), DIGEST_BYTES), np.uint8), 0
    for block in _blocks(x):
        if kind == "table":
            found = _table_digests(block if order is None else block[:, order])
        else:
            found = _array_digests(block)
        digests[done : done + len(block)] = _joined(found, DIGEST_BYTES)
        done += len(block)
    return digests


def digests_with_target(x: RowArray, y: Array, *, feature_names: Sequence[str], target_name: str) -> NDArray[np.uint8]:
    """(n, 32) digests of a table's rows in which the target is one more column.

    They know a file again in which another column is the target: there the former target is a feature.
    """
    names = [*(feature_names or [f"column {index}" for index in range(x.shape[1])]), target_name]
    rows = max(1, BLOCK_BYTES // max(1, x[:1].nbytes))
    blocks = (np.column_stack([x[at : at + rows], y[at : at + rows]]) for at in range(0, len(x), rows))
    digests = [row_digests(block, kind="table", feature_names=names) for block in blocks]
    return np.concatenate(digests) if digests else np.zeros((0, DIGEST_BYTES), np.uint8)


def order_keys(digests: NDArray[np.uint8], seed: int) -> NDArray[np.uint64]:
    """One pseudo-random number a row, keyed by the public `seed`: equal rows, equal numbers, on every machine.

    Rows sorted by it are in an order that depends on neither their former order nor their names.
    """
    key = b"holdfast order %d" % seed
    keys = mapped(lambda digest: hashlib.blake2b(digest, digest_size=8, key=key).digest(), 8, digests)
    return keys.view("<u8").astype(np.uint64).ravel()


def content_id(digests: NDArray[np.uint8], y: Array) -> str:
    """The identity of a set of rows with their targets, as 64 hex digits; the order of rows does not count."""
    targets = np.ascontiguousarray(y)
    targets = targets.astype(targets.dtype.newbyteorder("<"), copy=False).reshape(len(targets), -1)
    width = targets.dtype.itemsize * targets.shape[1]
    flat = targets.view(np.uint8).reshape(len(targets), width)
    header = f"holdfast content 1 {targets.dtype.str} {targets.shape[1]}".encode()
    return _set_hash(header, mapped(lambda row: hashlib.blake2b(row, digest_size=32).digest(), 32, digests, flat))


def rows_id(*digests: NDArray[np.uint8]) -> str:
    """The identity of a set of rows without targets, given in parts, as 64 hex digits; order does not count."""
    return _set_hash(b"holdfast rows 1", np.concatenate(digests))


def _set_hash(header: bytes, members: NDArray[np.uint8]) -> str:
    """The hash of (n, 32) members in ascending order."""
    ordered = np.sort(np.ascontiguousarray(members).view(f"S{DIGEST_BYTES}").ravel())
    total = hashlib.sha256(header)
    total.update(ordered.view(np.uint8).data)
    return total.hexdigest()


def mapped(digest_of: Callable[[bytes], bytes], size: int, *parts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, size) What a function gives for every row, its parts side by side; few rows at a time become objects."""
    num_rows, width = len(parts[0]), sum(part.shape[1] for part in parts)
    found = np.empty((num_rows, size), np.uint8)
    for start in range(0, num_rows, PIECE_ROWS):
        piece = np.column_stack([part[start : start + PIECE_ROWS] for part in parts]).tobytes()
        rows = [digest_of(piece[place : place + width]) for place in range(0, len(piece), width)]
        found[start : start + PIECE_ROWS] = _joined(rows, size)
    return found


def _joined(digests: list[bytes], size: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, size)


def _blocks(x: RowArray) -> Iterator[Array]:
    rows = max(1, BLOCK_BYTES // max(1, x[:1].nbytes))
    return (np.asarray(x[start : start + rows]) for start in range(0, len(x), rows))


def _hash_rows(header: str, rows: Array) -> list[bytes]:
    start = hashlib.blake2b(digest_size=DIGEST_BYTES, person=b"holdfast row 1")
    start.update(header.encode() + b"\x00")
    flat = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
    width = len(flat) // len(rows)
    digests = []
    for place in range(0, len(rows) * width, width) if width else [0] * len(rows):
        row = start.copy()
        row.update(flat[place : place + width])
        digests.append(row.digest())
    return digests


# --- images and other arrays -----------------------------------------------------------------------------------------


def _array_digests(block: Array) -> list[bytes]:
    """Rows that are images in disguise are hashed as images, the others as they are."""
    if block.ndim not in (3, 4) or block.dtype.kind not in "uif":
        return _hash_rows(f"array {block.dtype.newbyteorder('<').str} {block.shape[1:]}", _little_endian(block))
    pixels, is_image = _as_pixels(_as_hwc(block))
    header = "image {} {} {}".format(*pixels.shape[1:])
    if is_image.all():
        return _hash_rows(header, pixels)
    plain = _hash_rows(f"array {block.dtype.newbyteorder('<').str} {block.shape[1:]}", _little_endian(block))
    images = _hash_rows(header, pixels)
    return [image if good else other for image, other, good in zip(images, plain, is_image, strict=True)]


def _as_hwc(block: Array) -> Array:
    if block.ndim == 3:
        return block[..., None]
    if block.shape[1] in CHANNELS and block.shape[3] not in CHANNELS:
        return np.moveaxis(block, 1, 3)
    return block


def _as_pixels(block: Array) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(n, H, W, C) as uint8, and which rows hold pixels at all: integers 0..255, or floats k/255."""
    if block.dtype == np.uint8:
        return block, np.ones(len(block), bool)
    flat = block.reshape(len(block), -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        is_scaled: NDArray[np.bool_] = np.logical_and(block.dtype.kind == "f", flat.max(axis=1) <= 1.0)
        flat[is_scaled] *= 255.0
        pixels = np.rint(flat)
        near = np.abs(flat - pixels) <= np.where(is_scaled, 255 * np.finfo(np.float16).eps / 4, 0.0)[:, None]
        is_pixel = near & (pixels >= 0) & (pixels <= 255)
        is_image: NDArray[np.bool_] = np.logical_and.reduce(is_pixel, axis=1)
        return np.where(is_image[:, None], pixels, 0).astype(np.uint8).reshape(block.shape), is_image


def _little_endian(block: Array) -> Array:
    return block.astype(block.dtype.newbyteorder("<"), copy=False)


# --- tables ----------------------------------------------------------------------------------------------------------


def _column_order(x: RowArray, names: Sequence[str]) -> NDArray[np.int64] | None:
    if x.ndim != 2:
        raise ValueError(f"a table has two axes, not {x.ndim}")
    if not names:
        return None
    if len(names) != x.shape[1]:
        raise ValueError(f"{len(names)} column names for {x.shape[1]} columns")
    folded = [unicodedata.normalize("NFC", name) for name in names]
    return np.array(sorted(range(len(folded)), key=folded.__getitem__), np.int64)


def _table_digests(block: Array) -> list[bytes]:
    if block.dtype.kind == "f" or (block.dtype.kind in "biu" and not _has_long_integers(block)):
        return _number_digests(block)
    rows = [[_as_cell(value) for value in row] for row in block.tolist()]
    digests = []
    for row in rows:
        if all(isinstance(cell, float) for cell in row):
            digests.extend(_number_digests(np.array([row], np.float64)))
        else:
            text = b"".join(_encode_cell(cell) for cell in row)
            digests.extend(_hash_rows(f"table mixed {len(row)}", np.frombuffer(text, np.uint8)[None]))
    return digests


def _number_digests(block: Array) -> list[bytes]:
    numbers = block.astype("<f8") + 0.0
    numbers[np.isnan(numbers)] = NAN
    return _hash_rows(f"table numbers {numbers.shape[1]}", numbers)


def _has_long_integers(block: Array) -> bool:
    if block.dtype.kind == "b" or not block.size:
        return False
    return int(block.max()) > EXACT_INTEGER or int(block.min()) < -EXACT_INTEGER


def _as_cell(value: Any) -> float | str | bytes:
    """A number as float, a long integer as decimal text in bytes, anything else as text."""
    if value is None:
        return float("nan")
    if isinstance(value, int) and abs(value) > EXACT_INTEGER:
        return b"%d" % value
    return float(value) if isinstance(value, int | float) else unicodedata.normalize("NFC", str(value))


def _encode_cell(cell: float | str | bytes) -> bytes:
    if isinstance(cell, float):
        return b"n" + (np.array(NAN if math.isnan(cell) else cell, "<f8") + 0.0).tobytes()
    tag, content = (b"i", cell) if isinstance(cell, bytes) else (b"s", cell.encode())
    return tag + len(content).to_bytes(8, "little") + content
