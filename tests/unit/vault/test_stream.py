from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.core.errors import VaultRefused
from holdfast.vault import stream

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
HEADER, CHUNK = 23, 64 + 16


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK_BYTES", 64)


def _data(part: str = "x", vault: str = "v1") -> bytes:
    return stream.associated_data(vault, part, "m" * 64)


def _seal(path: Path, content: bytes) -> Path:
    stream.seal_file(path, [content[:10], content[10:]], KEY, _data())
    return path


def _open(path: Path) -> bytes:
    return b"".join(stream.open_file(path, KEY, _data()))


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
            list(stream.open_file(path, key, associated))
    with pytest.raises(FileExistsError):
        _seal(path, b"again")
