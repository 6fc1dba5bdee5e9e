from __future__ import annotations

import hashlib

import pytest

from holdfast.vault.rows.commitment import RowCommitment


def _reference(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + _reference(leaves[:half]) + _reference(leaves[half:])).digest()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 100])
def test_the_root_is_the_merkle_tree_hash(count: int) -> None:
    key = b"k" * 32
    tree = RowCommitment(key)
    leaves = []
    for index in range(count):
        tree.add(b"row%d" % index, b"y", 1)
        salt = hashlib.blake2b(index.to_bytes(8, "big"), digest_size=16, key=key).digest()
        leaves.append(salt + b"row%dy" % index)
    assert tree.root() == _reference(leaves).hex()
    other = RowCommitment(b"o" * 32)
    for index in range(count):
        other.add(b"row%d" % index, b"y", 1)
    assert count == 0 or other.root() != tree.root()
