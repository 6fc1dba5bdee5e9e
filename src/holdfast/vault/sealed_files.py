"""The two sealed parts of a vault: rows become encrypted files, row after row, in an order that says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.vault import stream
from holdfast.vault.keys import key_files
from holdfast.vault.rows import commitment
from holdfast.vault.rows.arrays import RowArray
from holdfast.vault.rows.identity import row_digests

BLOCK_BYTES = 2**20
GATHER_BYTES = 16 * 2**20  # rows that are gathered at once: each time may be a pass over all of them
FILES = {part: f"{part}.sealed" for part in key_files.PARTS}


def layout_of(rows: RowArray) -> dict[str, Any]:
    """What a part decrypts to."""
    return {"dtype": rows.dtype.newbyteorder("<").str, "shape": [int(size) for size in rows.shape]}


def write_parts(
    rows: Rows, order: NDArray[np.int64], folder: Path, vault: str, *, secret: dict[str, bytes], manifest_sha256: str
) -> tuple[dict[str, str], str]:
    """Encrypt both parts in `order`; the SHA-256 of each file, and the root of the row commitment.

    Raises:
        InputError: A row is not what it was when its digest was taken.
    """
    tree = commitment.RowCommitment(key_files.derive(secret["y"], vault, "rows"))
    blocks = {"x": rows.features(order, tree), "y": rows.targets(order)}
    files = {
        name: stream.seal_file(
            folder / name,
            blocks[part],
            key_files.derive(secret[part], vault, f"seal {part}"),
            stream.associated_data(vault, part, manifest_sha256),
        )
        for part, name in FILES.items()
    }
    return files, tree.root()


class Rows:
    """Test rows on their way into a vault.

    Args:
        x: (n, ...) rows.
        y: Their targets.
        digests: (n, 16) of the rows as they are in `x`.
        kind: How they were digested.
    """

    def __init__(self, x: RowArray, y: NDArray[Any], digests: RowArray, kind: str) -> None:
        self._x, self._y, self._digests, self._kind = x, y, digests, kind

    def features(self, order: NDArray[np.int64], tree: commitment.RowCommitment) -> Iterator[bytes]:
        """The bytes of X, block by block; every row is digested again and entered in the commitment.

        Raises:
            InputError: A row is not what it was when its digest was taken.
        """
        row_bytes = max(1, self._x.nbytes // max(1, len(self._x)))
        size = max(1, BLOCK_BYTES // row_bytes)
        for place in _pieces(order, max(size, GATHER_BYTES // row_bytes)):
            rows = _little_endian(self._x[place])
            self._refuse_changes(rows, place)
            targets = _little_endian(self._y[place])
            for start in range(0, len(rows), size):
                content = rows[start : start + size].tobytes()
                tree.add_block(content, targets[start : start + size].tobytes(), len(rows[start : start + size]))
                yield content

    def targets(self, order: NDArray[np.int64]) -> Iterator[bytes]:
        """The bytes of y."""
        size = max(1, BLOCK_BYTES // max(1, self._y.nbytes // max(1, len(self._y))))
        return (_little_endian(self._y[place]).tobytes() for place in _pieces(order, size))

    def _refuse_changes(self, rows: NDArray[Any], place: NDArray[np.int64]) -> None:
        if not np.array_equal(row_digests(rows, kind=self._kind), self._digests[place]):
            hint = "try again when nothing writes to it"
            raise InputError("data", "the source changed while it was read", next=hint)


def _pieces(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    return (order[start : start + size] for start in range(0, len(order), size))


def _little_endian(rows: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder("<"), copy=False))
