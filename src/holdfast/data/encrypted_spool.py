"""Rows on their way from a source into the store and the vault: on disk, so that many of them take little memory.

A source that may be large appends block after block to a `Spool` and returns it as `Rows.x`. The rows lie in a file
under `HOLDFAST_HOME/store` that has no name and is gone with the process, encrypted by AES-256-CTR (NIST SP 800-38A)
under a key that only this process has: test rows among them are never on disk in the open. Every byte is written once,
so no part of the key stream is used twice.
"""

from __future__ import annotations

import math
import os
import secrets
import tempfile
import weakref
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import ArrayLike, DTypeLike, NDArray

from holdfast.core import places

BLOCK_BYTES = 4 * 2**20
CIPHER_BYTES = 16
IN_MEMORY_BYTES = 64 * 2**20

Array = NDArray[Any]


class Spool:
    """Rows that are appended once and then read like an array: by slices without a step, by indices or by masks.

    An index array is answered in one pass over the file, so ask for many rows at once rather than often for a few.
    """

    def __init__(self, row_shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape: tuple[int, ...] = (0, *row_shape)  # (n, ...), n growing with every block
        self.dtype = np.dtype(dtype)  # of the numbers
        self._row_bytes = math.prod(row_shape) * self.dtype.itemsize
        places.store().mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=places.store())  # noqa: SIM115 - lives as long as the rows
        weakref.finalize(self, self._file.close)
        self._key = secrets.token_bytes(32)
        self._stream = self._stream_from(0)

    @property
    def ndim(self) -> int:
        """The number of axes, that of rows included."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of all rows."""
        return len(self) * self._row_bytes

    def __len__(self) -> int:
        return self.shape[0]

    def append(self, block: ArrayLike) -> None:
        """Add (m, ...) rows.

        Raises:
            ValueError: They have another shape.
            OSError: The disk is full.
        """
        rows = np.ascontiguousarray(block, self.dtype)
        if rows.shape[1:] != self.shape[1:]:
            raise ValueError(f"rows of shape {rows.shape[1:]}, expected {self.shape[1:]}")
        plain = rows.reshape(-1).view(np.uint8).data
        for start in range(0, len(plain), BLOCK_BYTES):
            self._file.write(self._stream.update(plain[start : start + BLOCK_BYTES]))
        self._file.flush()
        self.shape = (len(self) + len(rows), *self.shape[1:])

    def __getitem__(self, place: slice | NDArray[Any]) -> Array:
        if isinstance(place, slice):
            start, stop, _ = place.indices(len(self))
            return self._read(start, max(start, stop))
        rows = np.asarray(place)
        return self._gather(np.flatnonzero(rows) if rows.dtype == bool else rows)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def settled(self) -> Array | Spool:
        """The rows as an array where they are few, else this."""
        return self[:] if self.nbytes <= IN_MEMORY_BYTES else self

    def _gather(self, rows: NDArray[np.int64]) -> Array:
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        order = np.argsort(rows, kind="stable")
        ordered, gathered_rows = rows[order], np.empty((len(rows), *self.shape[1:]), self.dtype)
        size, at = max(1, BLOCK_BYTES // max(1, self._row_bytes)), 0
        while at < len(ordered):
            first = int(ordered[at])
            end = int(np.searchsorted(ordered, first + size))
            gathered_rows[order[at:end]] = self._read(first, int(ordered[end - 1]) + 1)[ordered[at:end] - first]
            at = end
        return gathered_rows

    def _read(self, start: int, stop: int) -> Array:
        size, begin = (stop - start) * self._row_bytes, start * self._row_bytes
        plain = np.empty(size + CIPHER_BYTES, np.uint8)  # more than there is: `update_into` asks for it
        stream, file = self._stream_from(begin), self._file.fileno()
        for place in range(0, size, BLOCK_BYTES):
            sealed = os.pread(file, min(BLOCK_BYTES, size - place), begin + place)
            stream.update_into(sealed, plain[place : place + len(sealed) + CIPHER_BYTES].data)
        return plain[:size].view(self.dtype).reshape(stop - start, *self.shape[1:])

    def _stream_from(self, place: int) -> CipherContext:
        """The key stream from a byte of the file on."""
        counter, skipped = divmod(place, CIPHER_BYTES)
        stream = Cipher(AES256(self._key), CTR(counter.to_bytes(CIPHER_BYTES, "big"))).encryptor()
        stream.update(bytes(skipped))
        return stream
