"""Rows as their source holds them: what a vault seals, and what the view of a run turns into numbers.

form     what they are                     a sealed piece                       module
table    record batches of all columns     an Arrow IPC stream                  data.tables.raw_table
image    encoded files                     an Arrow IPC stream of one column    here
array    pixels or numbers of one shape    their bytes                          here

Each form has a size, a `layout` of a sealed piece (JSON: {"form", "rows", ...}), and `pieces(order)`: the rows `order`,
in that order, some of their numbers at a time with these rows as they are sealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.arrow import pa
from holdfast.vault.rows.identity import DIGEST_BYTES, RowArray, row_digests

Order = NDArray[np.int64]
PIECE_BYTES = 2**20
GATHER_BYTES = 16 * 2**20  # rows that are gathered at once: each time may be a pass over all of them


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """Pixels or numbers of one shape."""

    x: RowArray  # (n, ...) rows
    # (n, 16) of these rows; None: they are a copy of the source's, which nobody else writes to
    digests: RowArray | None
    kind: str  # how they were digested

    def __len__(self) -> int:
        return len(self.x)

    @property
    def nbytes(self) -> int:
        """The size of all rows."""
        return int(self.x.nbytes)

    @property
    def layout(self) -> dict[str, Any]:
        """The type of the numbers and the shape of a row."""
        dtype = self.x.dtype.newbyteorder("<").str
        return {"form": "array", "rows": len(self), "dtype": dtype, "shape": [int(size) for size in self.x.shape[1:]]}

    def pieces(self, order: Order) -> Iterator[tuple[Order, bytes]]:
        """The rows in an order, piece by piece; every row is digested again, and a changed one refused."""
        row_bytes = max(1, self.nbytes // max(1, len(self)))
        size = max(1, PIECE_BYTES // row_bytes)
        for rows in windows(order, max(size, GATHER_BYTES // row_bytes)):
            block = np.asarray(self.x[rows])
            known = None if self.digests is None else self.digests[rows]
            if known is not None and not np.array_equal(row_digests(block, kind=self.kind), known):
                raise _changed()
            block = np.ascontiguousarray(block.astype(block.dtype.newbyteorder("<"), copy=False))
            for start in range(0, len(rows), size):
                yield rows[start : start + size], block[start : start + size].tobytes()


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images as the bytes of their files, read again where they are sealed."""

    read: Callable[[int], bytes]  # gives the bytes of the image with a number
    digests: NDArray[np.uint8]  # (n, 16) of these bytes (`bytes_digest`)
    nbytes: int  # of all images

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def layout(self) -> dict[str, Any]:
        """Encoded images have no shape."""
        return {"form": "image", "rows": len(self)}

    def pieces(self, order: Order) -> Iterator[tuple[Order, bytes]]:
        """The images in an order, piece by piece; as `ArrayRows.pieces`."""
        for rows in windows(order, max(1, PIECE_BYTES * len(self) // max(1, self.nbytes))):
            images = []
            for row in rows.tolist():
                try:
                    images.append(self.read(row))
                except OSError:
                    raise _changed() from None
            if not np.array_equal(np.stack([bytes_digest(image) for image in images]), self.digests[rows]):
                raise _changed()
            yield rows, ipc_stream(pa.table({"image": pa.array(images, pa.large_binary())})).to_pybytes()


def bytes_digest(content: bytes) -> NDArray[np.uint8]:
    """(16,) digest of an encoded image: it is known by it where another decoder gives other pixels."""
    digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES, person=b"holdfast file 1").digest()
    return np.frombuffer(digest, np.uint8)


def read_piece(layout: dict[str, Any], content: bytes) -> Any:
    """A sealed piece as rows, as a view takes them: a record batch, a list of encoded images, or an array."""
    if layout["form"] == "array":
        return np.frombuffer(content, layout["dtype"]).reshape(-1, *layout["shape"])
    with pa.ipc.open_stream(content) as reader:
        table = reader.read_all().combine_chunks()
    if layout["form"] == "image":
        return table.column("image").to_pylist()
    return table.to_batches()[0]


def ipc_stream(table: Any) -> Any:
    """A table or record batch of pyarrow's as a buffer that holds an Arrow IPC stream."""
    with pa.BufferOutputStream() as sink:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write(table)
        return sink.getvalue()


def windows(order: Order, size: int) -> Iterator[Order]:
    """Some of the numbers of rows at a time."""
    return (order[start : start + size] for start in range(0, len(order), size))


def _changed() -> InputError:
    return InputError("data", "the source changed while it was read", next="try again when nothing writes to it")
