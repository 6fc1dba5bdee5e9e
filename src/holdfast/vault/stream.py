"""Sealed files: AES-256-GCM in chunks of 4 MiB under STREAM nonces (Hoang, Reyhanitabar, Rogaway, Vizar 2015).

A file is a 16-byte mark, a random 7-byte prefix, then the chunks, each followed by its 16-byte tag. The nonce of a
chunk is prefix, 4-byte big-endian counter, 1 for the last chunk and 0 for the others: a chunk that is dropped, added,
moved or cut fails. Every chunk but the last holds 4 MiB of plain text. What the file belongs to stands in the
associated data.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.core.errors import VaultRefused
from holdfast.core.files import canonical_json, new_file

MARK = b"HOLDFAST SEAL 1\n"
PREFIX_BYTES = 7
TAG_BYTES = 16
CHUNK_BYTES = 4 * 2**20


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
    """Decrypt a sealed file chunk by chunk, in memory only.

    Raises:
        VaultRefused: The file is damaged, cut, or belongs to another vault, part, manifest or key.
    """
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
