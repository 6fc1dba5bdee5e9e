from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.core.errors import VaultRefused
from holdfast.vault import sealed_files
from holdfast.vault.keys import key_files
from holdfast.vault.rows.identity import row_digests

SECRET = {"x": b"x" * 32, "y": b"y" * 32}
VAULT, MANIFEST = "0" * 32, "1" * 64
X = np.random.default_rng(0).normal(size=(30, 4))
DIGESTS = row_digests(X, kind="table")
Y = np.arange(30) * 10
ORDER = np.array([7, 3, 29, 0, 12, 5])
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
HEADER, CHUNK = 23, 64 + 16


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
    return b"".join(
        sealed_files.open_file(folder / f"{part}.sealed", key, sealed_files.associated_data(VAULT, part, MANIFEST))
    )


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


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_files, "CHUNK_BYTES", 64)


def _data(part: str = "x", vault: str = "v1") -> bytes:
    return sealed_files.associated_data(vault, part, "m" * 64)


def _seal(path: Path, content: bytes) -> Path:
    sealed_files.seal_file(path, [content[:10], content[10:]], KEY, _data())
    return path


def _open(path: Path) -> bytes:
    return b"".join(sealed_files.open_file(path, KEY, _data()))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128, 1000])
def test_what_is_sealed_is_opened(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = _seal(tmp_path / "x", content)
    assert _open(path) == content
    assert path.stat().st_size == HEADER + size + 16 * max(1, -(-size // 64))
    assert size < 16 or content not in path.read_bytes()


def _chunks(raw: bytes) -> list[bytes]:
    return [raw[start : start + CHUNK] for start in range(HEADER, len(raw), CHUNK)]


def _join(raw: bytes, chunks: list[bytes]) -> bytes:
    return raw[:HEADER] + b"".join(chunks)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit of the first chunk": lambda raw: raw[:HEADER] + bytes([raw[HEADER] ^ 1]) + raw[HEADER + 1 :],
    "a bit of the last tag": lambda raw: raw[:-1] + bytes([raw[-1] ^ 128]),
    "a bit of the prefix": lambda raw: raw[:16] + bytes([raw[16] ^ 1]) + raw[17:],
    "the first two chunks swapped": lambda raw: _join(raw, [_chunks(raw)[i] for i in (1, 0, 2, 3)]),
    "a chunk dropped": lambda raw: _join(raw, [_chunks(raw)[i] for i in (0, 2, 3)]),
    "the last chunk dropped": lambda raw: _join(raw, _chunks(raw)[:-1]),
    "a chunk twice": lambda raw: _join(raw, [_chunks(raw)[i] for i in (0, 0, 1, 2, 3)]),
    "the last byte cut": lambda raw: raw[:-1],
    "a byte more": lambda raw: raw + b"\x00",
    "only the header": lambda raw: raw[:HEADER],
    "another mark": lambda raw: b"HOLDFAST SEAL 2\n" + raw[16:],
}


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused(tmp_path: Path, damage: str) -> None:
    path = _seal(tmp_path / "x", os.urandom(200))
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(VaultRefused, match=r"chunk \d is not what was sealed|was cut|no sealed file"):
        _open(path)


def test_a_file_opens_only_as_what_it_is(tmp_path: Path) -> None:
    path = _seal(tmp_path / "x", b"rows")
    for key, associated in ((OTHER_KEY, _data()), (KEY, _data("y")), (KEY, _data(vault="v2"))):
        with pytest.raises(VaultRefused, match="chunk 0 is not what was sealed for this vault and part"):
            list(sealed_files.open_file(path, key, associated))
    with pytest.raises(FileExistsError):
        _seal(path, b"again")
