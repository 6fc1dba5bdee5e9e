"""The Merkle tree hash of a list (RFC 6962, 2.1): one root commits to all of it, in its order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


class MerkleTree:
    """The tree of a growing list; holds log2(n) hashes: 0x00 stands before leaves, 0x01 before nodes."""

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
