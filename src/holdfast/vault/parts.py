"""The two sealed parts of a vault: rows become encrypted files, row after row, in an order that says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.vault import commitment, keys, stream
from holdfast.vault.identity import row_digests

BLOCK_BYTES = 2**20
FILES = {part: f"{part}.sealed" for part in keys.PARTS}


def layout_of(rows: NDArray[Any]) -> dict[str, Any]:
    """What a part decrypts to."""
    return {"dtype": rows.dtype.newbyteorder("<").str, "shape": [int(size) for size in rows.shape]}


def write_parts(
    rows: Rows, order: NDArray[np.int64], folder: Path, vault: str, *, secret: dict[str, bytes], manifest_sha256: str
) -> tuple[dict[str, str], str]:
    """Encrypt both parts in `order`; the SHA-256 of each file, and the root of the row commitment.

    Raises:
        InputError: A row is not what it was when its digest was taken.
    """
    tree = commitment.RowCommitment(keys.derive(secret["y"], vault, "rows"))
    blocks = {"x": rows.features(order, tree), "y": rows.targets(order)}
    files = {
        name: stream.seal_file(
            folder / name,
            blocks[part],
            keys.derive(secret[part], vault, f"seal {part}"),
            stream.associated_data(vault, part, manifest_sha256),
        )
        for part, name in FILES.items()
    }
    return files, tree.root()


class Rows:
    """Test rows on their way into a vault; `kind` is "" where they are not digested again."""

    def __init__(
        self, x: NDArray[Any], y: NDArray[Any], digests: NDArray[np.uint8], kind: str, feature_names: Sequence[str]
    ) -> None:
        self._x, self._y, self._digests = x, y, digests
        self._kind, self._feature_names = kind, feature_names

    def features(self, order: NDArray[np.int64], tree: commitment.RowCommitment) -> Iterator[bytes]:
        """The bytes of X, block by block; every row is digested again and entered in the commitment.

        Raises:
            InputError: A row is not what it was when its digest was taken.
        """
        size = max(1, BLOCK_BYTES // max(1, self._x[:1].nbytes))
        for start in range(0, len(order), size):
            place = order[start : start + size]
            block = _little_endian(self._x[place])
            self._refuse_changes(block, place)
            targets = _little_endian(self._y[place])
            for row, target in zip(block, targets, strict=True):
                tree.add(row.tobytes(), target.tobytes())
            yield block.tobytes()

    def targets(self, order: NDArray[np.int64]) -> Iterator[bytes]:
        """The bytes of y."""
        yield _little_endian(self._y[order]).tobytes()

    def _refuse_changes(self, block: NDArray[Any], place: NDArray[np.int64]) -> None:
        if not self._kind:
            return
        again = row_digests(block, kind=self._kind, feature_names=self._feature_names)
        if not np.array_equal(again, self._digests[place]):
            hint = "try again when nothing writes to it"
            raise InputError("data", "the source changed while it was read", next=hint)


def _little_endian(rows: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder("<"), copy=False))
