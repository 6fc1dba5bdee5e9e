"""What makes two rows the same row: digests of content, whatever the file, the name, the order or the storage.

A digest is BLAKE2b-128 (RFC 7693) over the canonical form of one row's features:

    image   "image", H, W, C, then uint8 pixels in HWC order; floats k/255, integers 0..255 and CHW are turned into that
    table   its cells (`vault.cells`) in the order of the columns' sorted names; names themselves do not count. Where
            every cell is a number: the numbers; else the words of all cells
    array   dtype, shape and bytes

So a table is known again as CSV, Parquet, JSON lines or arrays, in float64 or float32, whole numbers beyond 2**24 in
float32 left out: there they are other numbers. Where columns have no names, they count in the order they are in.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from holdfast.vault.cells import WORD_BYTES, Cells, canonical_numbers, is_numeric, words_of

DIGEST_BYTES = 16
BLOCK_BYTES = 4 * 2**20
PIECE_ROWS = 4096
BLOCK_ROWS = 2**16
SORT_BYTES = 12 * 2**20
CHANNELS = (1, 3, 4)

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


class Chosen:
    """Some rows of an array, gathered only where they are read."""

    def __init__(self, x: RowArray, rows: NDArray[np.int64]) -> None:
        self._x, self._rows = x, rows
        self.dtype, self.ndim, self.shape = x.dtype, x.ndim, (len(rows), *x.shape[1:])
        self.nbytes = x.nbytes // max(1, len(x)) * len(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any, /) -> Array:
        return np.asarray(self._x[self._rows[place]])


def row_digests(x: RowArray, *, kind: str, feature_names: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Digest every row's features, targets left out.

    Args:
        x: (n, ...) rows; a memory map is read in blocks.
        kind: "image", "table" or "array".
        feature_names: Names of a table's columns; equal tables with columns in another order have equal digests.

    Returns:
        (n, 16) bytes, equal where the canonical rows are equal.
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


def order_keys(digests: RowArray, seed: int) -> NDArray[np.uint64]:
    """One pseudo-random number a row, keyed by the public `seed`: equal rows, equal numbers, on every machine.

    Rows sorted by it are in an order that depends on neither their former order nor their names. AES-256 under a key
    made of the seed is the pseudo-random function, a digest is one block, its first half the number.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES256(hashlib.sha256(b"holdfast order %d" % seed).digest()), modes.ECB()).encryptor()
    keys = np.empty(len(digests), np.uint64)
    for start in range(0, len(digests), BLOCK_ROWS):
        sealed = cipher.update(digests[start : start + BLOCK_ROWS].tobytes())
        keys[start : start + BLOCK_ROWS] = np.frombuffer(sealed, "<u8")[::2]
    return keys


def content_id(digests: RowArray, y: Array) -> str:
    """The identity of a set of rows with their targets, as 64 hex digits; the order of rows does not count.

    SHA-256 over a header and the rows in ascending order, each its digest followed by the bytes of its target.
    """
    targets = y.astype(y.dtype.newbyteorder("<"), copy=False).reshape(len(y), -1)
    header = f"holdfast content 2 {targets.dtype.str} {targets.shape[1]}".encode()

    def members() -> Iterator[NDArray[np.uint8]]:
        for start, block in digest_blocks(digests):
            target = np.ascontiguousarray(targets[start : start + len(block)])
            yield np.column_stack([block, target.view(np.uint8).reshape(len(block), -1)])

    return _set_hash(header, members, DIGEST_BYTES + targets.dtype.itemsize * targets.shape[1], len(digests))


def rows_id(digests: RowArray, rows: NDArray[np.bool_] | None = None) -> str:
    """The identity of a set of different rows without targets, as 64 hex digits; order does not count.

    Args:
        digests: (n, 16).
        rows: (n,) Which of them count; all by default.
    """

    def members() -> Iterator[NDArray[np.uint8]]:
        for start, block in digest_blocks(digests):
            yield block if rows is None else block[rows[start : start + len(block)]]

    return _set_hash(b"holdfast rows 2", members, DIGEST_BYTES, len(digests), is_distinct=True)


def digest_blocks(digests: RowArray) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Digests a block at a time, each with the place of its first row."""
    places = range(0, len(digests), BLOCK_ROWS)
    return ((start, np.ascontiguousarray(digests[start : start + BLOCK_ROWS])) for start in places)


def equal_to_marked(digests: RowArray, is_marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) Which rows that are not marked equal a marked one."""
    blocks = digest_blocks(digests)
    words = [first_words(block[is_marked[at : at + len(block)]]) for at, block in blocks]
    known = np.sort(np.concatenate(words)) if words else np.zeros(0, np.uint64)
    near = np.zeros(len(is_marked), bool)
    if not len(known):
        return near
    for at, block in digest_blocks(digests):
        asked = first_words(block)
        near[at : at + len(block)] = known[np.minimum(np.searchsorted(known, asked), len(known) - 1)] == asked
    near &= ~is_marked
    rows = np.flatnonzero(near)
    if len(rows):
        candidates = digests[rows]
        marked = [block[is_marked[at : at + len(block)]] for at, block in digest_blocks(digests)]
        asked = first_words(candidates)
        others = np.concatenate([block[np.isin(first_words(block), asked)] for block in marked])
        near[rows] = np.isin(as_items(candidates), as_items(others))
    return near


def first_words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first eight bytes of each: enough to tell most digests apart."""
    return digests[:, :8].copy().view(np.uint64).ravel()


def as_items(digests: NDArray[np.uint8]) -> NDArray[np.void]:
    """Digests as things that can be compared."""
    return np.ascontiguousarray(digests).view(f"V{digests.shape[1]}").ravel()


def ascending(members: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The order in which (n, bytes) members ascend, bytes compared from the first on; equal ones keep theirs."""
    words = members[:, :8].copy().view(">u8").ravel().astype(np.uint64)
    order = np.argsort(words)
    is_tied = np.zeros(len(order), bool)
    if len(order) > 1:
        same = words[order[1:]] == words[order[:-1]]
        is_tied[1:] |= same
        is_tied[:-1] |= same
    tied = np.flatnonzero(is_tied)
    if len(tied):  # most members differ in their first word: only a few are compared as a whole
        rows = np.sort(order[tied])
        order[tied] = rows[np.lexsort(members[rows].T[::-1])]
    return order


def _set_hash(
    header: bytes,
    members: Callable[[], Iterable[NDArray[np.uint8]]],
    width: int,
    count: int,
    *,
    is_distinct: bool = False,
) -> str:
    """SHA-256 over members in ascending order, sorted part by part, so that few of them are in memory."""
    num_parts = max(1, -(-count * width // SORT_BYTES))
    total = hashlib.sha256(header)
    for part in range(num_parts):
        found = np.concatenate(
            [block[_part_of(block, num_parts) == part] for block in members()] or [np.empty((0, width), np.uint8)]
        )
        order = ascending(found)
        before = np.zeros((0, width), np.uint8)
        for start in range(0, len(order), PIECE_ROWS):
            piece = found[order[start : start + PIECE_ROWS]]
            if is_distinct:
                is_new = np.ones(len(piece), bool)
                is_new[1:] = (piece[1:] != piece[:-1]).any(axis=1)
                is_new[:1] = not np.array_equal(piece[:1], before)
                before, piece = piece[-1:], piece[is_new]
            total.update(np.ascontiguousarray(piece).data)
    return total.hexdigest()


def _part_of(members: NDArray[np.uint8], num_parts: int) -> NDArray[np.int64]:
    """Which of so many stretches of about equal length a digest falls into."""
    return (members[:, 0].astype(np.int64) * 256 + members[:, 1]) * num_parts >> 16


def mapped(digest_of: Callable[[bytes], bytes], size: int, digests: RowArray) -> NDArray[np.uint8]:
    """(n, size) What a function gives for every digest; few of them at a time become objects."""
    found, width = np.empty((len(digests), size), np.uint8), digests.shape[1]
    for start in range(0, len(digests), PIECE_ROWS):
        piece = digests[start : start + PIECE_ROWS].tobytes()
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
    if is_numeric(block):
        return _number_digests(block)
    return [row.tobytes() for row in _cell_digests(list(block.T))]


def _rows_of(cells: Cells, rows: slice) -> Cells:
    return (cells[0][rows], cells[1]) if isinstance(cells, tuple) else cells[rows]


def _cell_digests(columns: Sequence[Cells]) -> NDArray[np.uint8]:
    """Digests of rows from their columns; a row that holds numbers alone has the digest of those numbers."""
    if all(is_numeric(column) for column in columns):
        numbers = np.column_stack([canonical_numbers(np.asarray(column)) for column in columns])
        return _joined(_hash_rows(f"table numbers {len(columns)}", numbers), DIGEST_BYTES)
    found = [words_of(column) for column in columns]
    words = np.stack([word for word, _ in found], axis=1)
    is_mixed = np.logical_or.reduce([is_text for _, is_text in found])
    digests = np.empty((len(words), DIGEST_BYTES), np.uint8)
    for rows, kind in ((~is_mixed, "numbers"), (is_mixed, "mixed")):
        content = words[rows] if kind == "mixed" else words[rows, :, :8]
        if len(content):
            digests[rows] = _joined(_hash_rows(f"table {kind} {len(columns)}", content), DIGEST_BYTES)
    return digests


def _number_digests(block: Array) -> list[bytes]:
    return _hash_rows(f"table numbers {block.shape[1]}", canonical_numbers(block))
