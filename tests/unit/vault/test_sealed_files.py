from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.vault import sealed_files, stream
from holdfast.vault.keys import key_files
from holdfast.vault.rows.identity import row_digests

SECRET = {"x": b"x" * 32, "y": b"y" * 32}
VAULT, MANIFEST = "0" * 32, "1" * 64
X = np.random.default_rng(0).normal(size=(30, 4))
DIGESTS = row_digests(X, kind="table")
Y = np.arange(30) * 10
ORDER = np.array([7, 3, 29, 0, 12, 5])


def _pieces(*sizes: int) -> Iterator[tuple[NDArray[np.int64], bytes]]:
    start = 0
    for size in sizes:
        rows = ORDER[start : start + size]
        yield rows, X[rows].tobytes()
        start += size


def _write(folder: Path, *sizes: int, y: NDArray[np.int64] = Y) -> tuple[dict[str, str], str]:
    rows: dict[str, Any] = {"digests": DIGESTS, "y": y, "order": ORDER}
    return sealed_files.write_parts(folder, VAULT, _pieces(*sizes), **rows, secret=SECRET, manifest_sha256=MANIFEST)


def _decrypted(folder: Path, part: str) -> bytes:
    key = key_files.derive(SECRET[part], VAULT, f"seal {part}")
    return b"".join(stream.open_file(folder / f"{part}.sealed", key, stream.associated_data(VAULT, part, MANIFEST)))


@pytest.mark.parametrize("size", [1, 15, 16, 17, 100, 10**6])
def test_pieces_come_back_from_blocks_of_any_size(tmp_path: Path, size: int) -> None:
    _write(tmp_path, 1, 3, 2)
    content = _decrypted(tmp_path, "x")
    blocks = [content[start : start + size] for start in range(0, len(content), size)]
    pieces = list(sealed_files.read_pieces(blocks))
    assert [len(digests) for digests, _ in pieces] == [1, 3, 2]
    assert np.array_equal(np.concatenate([digests for digests, _ in pieces]), DIGESTS[ORDER])
    assert b"".join(piece for _, piece in pieces) == X[ORDER].tobytes()


def test_a_piece_that_is_cut_is_not_given(tmp_path: Path) -> None:
    _write(tmp_path, 1, 3, 2)
    content = _decrypted(tmp_path, "x")
    assert [len(digests) for digests, _ in sealed_files.read_pieces([content[:-1]])] == [1, 3]


def test_targets_lie_in_the_order_of_the_rows(tmp_path: Path) -> None:
    _write(tmp_path, 6)
    assert sealed_files.layout_of(Y[ORDER]) == {"dtype": "<i8", "shape": [6]}
    assert np.frombuffer(_decrypted(tmp_path, "y"), "<i8").tolist() == Y[ORDER].tolist()


def test_the_commitment_is_over_rows_and_targets_and_not_over_pieces(tmp_path: Path) -> None:
    changed = np.where(np.arange(30) == ORDER[4], 1, Y)
    roots = []
    for number, (sizes, y) in enumerate((((1, 3, 2), Y), ((6,), Y), ((6,), changed))):
        folder = tmp_path / str(number)
        folder.mkdir()
        roots.append(_write(folder, *sizes, y=y)[1])
    assert roots[0] == roots[1] != roots[2]


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
    tree = sealed_files.RowCommitment(key)
    leaves = []
    for index in range(count):
        tree.add(b"row%d" % index, b"y", 1)
        salt = hashlib.blake2b(index.to_bytes(8, "big"), digest_size=16, key=key).digest()
        leaves.append(salt + b"row%dy" % index)
    assert tree.root() == _reference(leaves).hex()
    other = sealed_files.RowCommitment(b"o" * 32)
    for index in range(count):
        other.add(b"row%d" % index, b"y", 1)
    assert count == 0 or other.root() != tree.root()
