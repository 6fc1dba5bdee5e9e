"""The two sealed parts of a vault: rows become encrypted files, row after row, in an order that says nothing.

X is a sequence of pieces of a few rows each: the number of rows and the size of their content as two little-endian
words of 8 bytes, the digest of each row, and the content as `data.rows` has it. y is the bytes of the targets.

The ledger's first entry states a salted Merkle root over the rows. A leaf is salt || row bytes || target bytes; the
salts come from the key of the targets, so that the root tells nothing to who guesses rows, and any one row can be shown
without the others.

A file is encrypted by AES-256-GCM in chunks of 4 MiB under STREAM nonces (Hoang, Reyhanitabar, Rogaway, Vizar 2015): a
16-byte mark, a random 7-byte prefix, then the chunks, each followed by its 16-byte tag. The nonce of a chunk is prefix,
4-byte big-endian counter, 1 for the last chunk and 0 for the others: a chunk that is dropped, added, moved or cut
fails. Every chunk but the last holds 4 MiB of plain text. What the file belongs to stands in the associated data.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from holdfast.core.errors import VaultRefused
from holdfast.core.files import MerkleTree, canonical_json, new_file
from holdfast.vault.keys import key_files
from holdfast.vault.rows.identity import DIGEST_BYTES, RowArray

FILES = {part: f"{part}.sealed" for part in key_files.PARTS}
HEAD_BYTES = 16
SALT_BYTES = 16
MARK = b"HOLDFAST SEAL 1\n"
PREFIX_BYTES = 7
TAG_BYTES = 16
CHUNK_BYTES = 4 * 2**20


# --- rows and targets -------------------------------------------------------------------------------------------------


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
        name: seal_file(
            folder / name,
            blocks[part],
            key_files.derive(secret[part], vault, f"seal {part}"),
            associated_data(vault, part, manifest_sha256),
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


# --- encrypted files --------------------------------------------------------------------------------------------------


def associated_data(vault: str, part: str, manifest_sha256: str) -> bytes:
    """The associated data that bind a sealed file to its vault, its part and its manifest."""
    return canonical_json({"manifest": manifest_sha256, "part": part, "vault": vault})


def seal_file(path: Path, blocks: Iterable[bytes], key: bytes, associated: bytes) -> str:
    """Encrypt the joined `blocks` into the new file `path`; return the file's SHA-256."""
    cipher, prefix, digest = AESGCM(key), secrets.token_bytes(PREFIX_BYTES), hashlib.sha256()
    with new_file(path) as file:
        for piece in (MARK, prefix):
            file.write(piece)
            digest.update(piece)
        for counter, (chunk, is_last) in enumerate(_mark_last(_rechunk(blocks))):
            sealed = cipher.encrypt(_nonce(prefix, counter, is_last), chunk, associated)
            file.write(sealed)
            digest.update(sealed)
    return digest.hexdigest()


def open_file(path: Path, key: bytes, associated: bytes) -> Iterator[bytes]:
    """Decrypt a sealed file chunk by chunk, in memory only; refused where it is damaged, cut, or another file."""
    cipher = AESGCM(key)
    with path.open("rb") as file:
        if file.read(len(MARK)) != MARK:
            raise VaultRefused(str(path), "is no sealed file of a version known here")
        prefix = file.read(PREFIX_BYTES)
        counter = -1
        for counter, (chunk, is_last) in enumerate(_mark_last(iter(lambda: file.read(CHUNK_BYTES + TAG_BYTES), b""))):
            try:
                yield cipher.decrypt(_nonce(prefix, counter, is_last), chunk, associated)
            except (InvalidTag, ValueError):
                problem = f"chunk {counter} is not what was sealed for this vault and part"
                raise VaultRefused(str(path), problem) from None
        if counter < 0:
            raise VaultRefused(str(path), "was cut: it has no chunk")


def _nonce(prefix: bytes, counter: int, is_last: bool) -> bytes:
    return prefix + counter.to_bytes(4, "big") + bytes([is_last])


def _rechunk(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of exactly 4 MiB and a rest; at least one piece."""
    waiting, is_empty = bytearray(), True
    for block in blocks:
        waiting += block
        while len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
            is_empty = False
    if waiting or is_empty:
        yield bytes(waiting)


def _mark_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    following: Iterator[bytes | None] = itertools.chain(chunks, [None])
    return ((chunk or b"", after is None) for chunk, after in itertools.pairwise(following))
