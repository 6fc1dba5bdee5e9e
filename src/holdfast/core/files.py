"""Files that are whole or absent: atomic writes, canonical JSON, hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError

PIECE_BYTES = 2**20


def write_atomic(path: Path, content: bytes | str, *, mode: int = 0o644, is_durable: bool = True) -> None:
    """Write `content` so that a reader, or a crash, sees the old file or the new one, never a part.

    What can be made again need not be durable: only where the machine itself fails, it may be lost.
    """
    content = content.encode() if isinstance(content, str) else content
    with replaced(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
    if is_durable:
        sync_folder(path.parent)


@contextlib.contextmanager
def replaced(path: Path, suffix: str = "") -> Iterator[Path]:
    """A place beside `path` to write to, which is renamed to it when the block ends, and removed after an error."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp{suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # it was renamed, or could never be made
            temporary.unlink()


def check_new_file(path: Path, where: str = "--output", *, overwrite: bool | None = False) -> None:
    """Refuse a file that would be lost, and a path that cannot be written; its folder need not be there yet.

    `where` is the option to blame. An `overwrite` of None says that nobody can choose to replace a file.
    """
    if path.is_dir():
        raise InputError(where, f"{path} is a folder", next="name a file")
    if path.exists() and not overwrite:
        hint = "name another file" if overwrite is None else "name another file, or --overwrite"
        raise InputError(where, f"{path} exists", next=hint)
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise InputError(where, f"{path} cannot be written", next="name a file in a folder of yours")


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BufferedWriter]:
    """A file that must not exist yet, open for writing; it is durable when the block ends."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def make_durable(path: Path) -> None:
    """Wait until a file that was written is on the disk."""
    with open_plain(path) as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or a link in `folder` durable (a no-op where folders cannot be opened)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def canonical_json(value: Any) -> bytes:
    """One byte string for one value: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: The value holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def finite(value: Any) -> Any:
    """A value as JSON has it, which knows no NaN and no infinity: they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def read_plain(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file, of the size that one expects.

    A link is not followed.

    Raises:
        OSError: It cannot be read, or is no regular file.
        ValueError: It is a link, or larger than `max_bytes`.
    """
    if path.is_symlink():
        raise ValueError("is a link")
    with open_plain(path) as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise ValueError(f"is larger than {max_bytes} bytes")
        return file.read()


def open_plain(path: Path, flags: int = 0) -> BufferedReader:
    """A regular file, open for reading with `flags` of `os.open`; a pipe or a device in its place is not waited for.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    flags |= os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def copy_hashed(source: Path, target: Path) -> str:
    """Copy a regular file durably to a new one, its folder included; the SHA-256 of what was copied.

    Raises:
        OSError: The source is a link or no regular file, or one of the two cannot be opened.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with open_plain(source, getattr(os, "O_NOFOLLOW", 0)) as file, target.open("xb") as copy:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def sha256_hex(content: bytes) -> str:
    """SHA-256 of bytes, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits, read in a stream."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class MerkleTree:
    """The Merkle tree hash of a growing list (RFC 6962, 2.1): one root commits to all of it, in its order.

    It holds log2(n) hashes; 0x00 stands before leaves, 0x01 before nodes.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._peaks: list[tuple[int, bytes]] = []
        for leaf in leaves:
            self.add(leaf)

    def add(self, leaf: bytes) -> None:
        """Append a leaf."""
        size, peak = 1, hashlib.sha256(b"\x00" + leaf).digest()
        while self._peaks and self._peaks[-1][0] == size:
            peak = _node(self._peaks.pop()[1], peak)
            size *= 2
        self._peaks.append((size, peak))

    def root(self) -> str:
        """The hash as 64 hex digits; of no leaf, the hash of the empty string."""
        if not self._peaks:
            return hashlib.sha256(b"").hexdigest()
        *peaks, (_, total) = self._peaks
        for _, peak in reversed(peaks):
            total = _node(peak, total)
        return total.hex()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
