"""A salted Merkle root over the sealed rows, hashed as RFC 6962, 2.1 has it: 0x00 before leaves, 0x01 before nodes.

The ledger's first entry states the root. A leaf is salt || row bytes || target bytes; the salts come from the key of
the targets, so that the root tells nothing to who guesses rows, and any one row can be shown without the others.
"""

from __future__ import annotations

import hashlib

SALT_BYTES = 16


class RowCommitment:
    """The root of a growing list of rows; holds log2(n) hashes."""

    def __init__(self, salt_key: bytes) -> None:
        self._salt_key = salt_key
        self._peaks: list[tuple[int, bytes]] = []
        self._count = 0

    def add(self, rows: bytes, targets: bytes, count: int) -> None:
        """Append `count` rows of equal size and their targets, each side by side, as they are sealed."""
        width, target_width = len(rows) // count, len(targets) // count
        for index in range(count):
            number = self._count.to_bytes(8, "big")
            salt = hashlib.blake2b(number, digest_size=SALT_BYTES, key=self._salt_key).digest()
            row = rows[index * width : (index + 1) * width]
            leaf = salt + row + targets[index * target_width : (index + 1) * target_width]
            size, peak = 1, hashlib.sha256(b"\x00" + leaf).digest()
            while self._peaks and self._peaks[-1][0] == size:
                peak = _node(self._peaks.pop()[1], peak)
                size *= 2
            self._peaks.append((size, peak))
            self._count += 1

    def root(self) -> str:
        """The Merkle tree hash, as 64 hex digits; of no row, the hash of the empty string."""
        if not self._peaks:
            return hashlib.sha256(b"").hexdigest()
        peaks = [peak for _, peak in self._peaks]
        total = peaks.pop()
        while peaks:
            total = _node(peaks.pop(), total)
        return total.hex()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
