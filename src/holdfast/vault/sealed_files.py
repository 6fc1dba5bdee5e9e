"""The two sealed parts of a vault: rows become encrypted files, row after row, in an order that says nothing.

X is a sequence of pieces of a few rows each: the number of rows and the size of their content as two little-endian
words of 8 bytes, the digest of each row, and the content as `data.raw` has it. y is the bytes of the targets.

The ledger's first entry states a salted Merkle root over the rows. A leaf is salt || row bytes || target bytes; the
salts come from the key of the targets, so that the root tells nothing to who guesses rows, and any one row can be shown
without the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.files import MerkleTree
from holdfast.vault import stream
from holdfast.vault.keys import key_files
from holdfast.vault.rows.arrays import RowArray
from holdfast.vault.rows.identity import DIGEST_BYTES

FILES = {part: f"{part}.sealed" for part in key_files.PARTS}
HEAD_BYTES = 16
SALT_BYTES = 16


def layout_of(y: NDArray[Any]) -> dict[str, Any]:
    """Type and shape of an array, which its encrypted bytes do not say."""
    return {"dtype": y.dtype.newbyteorder("<").str, "shape": [int(size) for size in y.shape]}


def write_parts(
    folder: Path,
    vault: str,
    pieces: Iterable[tuple[NDArray[np.int64], bytes]],
    *,
    digests: RowArray,
    y: NDArray[Any],
    order: NDArray[np.int64],
    secret: dict[str, bytes],
    manifest_sha256: str,
) -> tuple[dict[str, str], str]:
    """Encrypt both parts; the SHA-256 of each file, and the root of the row commitment.

    Args:
        pieces: Numbers of rows and their content, which together are the rows in `order`.
        digests: (m, 16) of all rows.
        order: (n,) The rows to be sealed.
        manifest_sha256: What both files are bound to.

    Raises:
        InputError: A row is not what it was when it was read.
    """
    tree = RowCommitment(key_files.derive(secret["y"], vault, "rows"))
    known, targets = digests[order], np.ascontiguousarray(y[order].astype(y.dtype.newbyteorder("<"), copy=False))
    blocks: dict[str, Iterable[bytes]] = {"x": _framed(pieces, known, targets, tree), "y": [targets.tobytes()]}
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


def read_pieces(blocks: Iterable[bytes]) -> Iterator[tuple[NDArray[np.uint8], bytes]]:
    """(k, 16) digests and content of every piece, from the bytes of X in blocks of any size."""
    waiting = bytearray()
    needed = HEAD_BYTES
    for block in blocks:
        waiting += block
        while len(waiting) >= HEAD_BYTES:
            count, size = (int.from_bytes(waiting[at : at + 8], "little") for at in (0, 8))
            needed = HEAD_BYTES + count * DIGEST_BYTES + size
            if len(waiting) < needed:
                break
            digests = np.frombuffer(bytes(waiting[HEAD_BYTES : needed - size]), np.uint8).reshape(-1, DIGEST_BYTES)
            yield digests, bytes(waiting[needed - size : needed])
            del waiting[:needed]


def _framed(
    pieces: Iterable[tuple[NDArray[np.int64], bytes]],
    digests: NDArray[np.uint8],
    targets: NDArray[Any],
    tree: RowCommitment,
) -> Iterator[bytes]:
    """Every piece as it is sealed; the digests and targets of the rows are in the order of the pieces."""
    done = 0
    for rows, content in pieces:
        place = slice(done, done + len(rows))
        known = digests[place].tobytes()
        tree.add(known, targets[place].tobytes(), len(rows))
        yield len(rows).to_bytes(8, "little") + len(content).to_bytes(8, "little") + known + content
        done += len(rows)


class RowCommitment:
    """The root of a growing list of rows."""

    def __init__(self, salt_key: bytes) -> None:
        self._salt_key = salt_key
        self._tree = MerkleTree()
        self._count = 0

    def add(self, rows: bytes, targets: bytes, count: int) -> None:
        """Append `count` rows of equal size and their targets, each side by side, as they are sealed."""
        width, target_width = len(rows) // count, len(targets) // count
        for index in range(count):
            number = self._count.to_bytes(8, "big")
            salt = hashlib.blake2b(number, digest_size=SALT_BYTES, key=self._salt_key).digest()
            row = rows[index * width : (index + 1) * width]
            self._tree.add(salt + row + targets[index * target_width : (index + 1) * target_width])
            self._count += 1

    def root(self) -> str:
        """The Merkle tree hash, as 64 hex digits."""
        return self._tree.root()
