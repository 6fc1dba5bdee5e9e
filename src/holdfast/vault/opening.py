"""The only place that decrypts test rows. Each step asks for the ledger entry that must come before it.

check_sealed     everything that can be known without spending: the sealed files are whole, both keys are right
open_x           needs the durable `open.intent`: the opening is spent
keep_predictions, kept_predictions    per-row outcomes, encrypted; they outlive a crash
open_y           needs the durable `open.predicted`, which states the hash of the predictions
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import VaultRefused
from holdfast.core.files import sha256_file, sync_folder
from holdfast.vault import commitment, keys, ledger, stream
from holdfast.vault.manifest import folder_of, read_manifest


def check_sealed(vault: str) -> None:
    """Check files and keys; the keys are dropped again and nothing is decrypted.

    Raises:
        VaultRefused: A file is not what was sealed, or a key is not the one it was sealed with.
    """
    folder = folder_of(vault)
    fields, manifest_sha256 = read_manifest(folder)
    committed = ledger.read_entry(folder / "ledger", 0).body
    if committed["manifest"] != manifest_sha256:
        raise VaultRefused(str(folder / "manifest.json"), "is not the manifest that the ledger commits to")
    for name, sha256 in sorted(committed["files"].items()):
        if not (folder / name).is_file() or sha256_file(folder / name) != sha256:
            raise VaultRefused(str(folder / name), "is not the file that was sealed", next="restore it from a copy")
    for part in keys.PARTS:
        keys.load_key(vault, part, fields["keys"]["check"][part])


def open_x(vault: str, intent: ledger.Entry) -> Iterator[bytes]:
    """The bytes of the test rows' features, piece by piece.

    Raises:
        VaultRefused: The intent is not in the ledger, or a file or key is not right.
    """
    _require(vault, intent, "open.intent")
    return _open_part(vault, "x")


def open_y(vault: str, predicted: ledger.Entry) -> NDArray[Any]:
    """The targets of the test rows, after the row commitment has been checked against both parts.

    Raises:
        VaultRefused: The hash of the predictions is not in the ledger, or the rows are not the ones committed to.
    """
    _require(vault, predicted, "open.predicted")
    layout = read_manifest(folder_of(vault))[0]["parts"]
    y = _as_array(b"".join(_open_part(vault, "y")), layout["y"])
    tree = commitment.RowCommitment(_derived(vault, "y", "rows"))
    row_bytes = np.dtype(layout["x"]["dtype"]).itemsize * int(np.prod(layout["x"]["shape"][1:]))
    rows = _split(_open_part(vault, "x"), row_bytes)
    for row, target in zip(rows, y, strict=True):
        tree.add(row, target.tobytes())
    if tree.root() != ledger.read_entry(folder_of(vault) / "ledger", 0).body["rows"]:
        raise VaultRefused(f"vault {vault[:8]}", "the rows are not the ones that were committed to when sealing")
    return y


def keep_predictions(vault: str, intent: ledger.Entry, predictions: NDArray[np.float32]) -> str:
    """Encrypt the predictions of an opening beside the vault; return the file's SHA-256."""
    _require(vault, intent, "open.intent")
    path = predictions_path(vault, str(intent.selection))
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        content = np.ascontiguousarray(predictions, "<f4").tobytes()
        key = _derived(vault, "x", f"predictions {intent.selection}")
        sha256 = stream.seal_file(temporary, [content], key, _associated(vault, f"predictions {intent.selection}"))
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return sha256


def kept_predictions(vault: str, predicted: ledger.Entry) -> NDArray[np.float32]:
    """The predictions that an interrupted opening has made, in the shape its entry states."""
    _require(vault, predicted, "open.predicted")
    purpose = f"predictions {predicted.selection}"
    path = predictions_path(vault, str(predicted.selection))
    if not path.is_file() or sha256_file(path) != predicted.body["file"]:
        raise VaultRefused(str(path), "is not the file that the ledger names", next="restore it from a copy")
    content = b"".join(stream.open_file(path, _derived(vault, "x", purpose), _associated(vault, purpose)))
    layout = {"dtype": "<f4", "shape": predicted.body["shape"]}
    return _as_array(content, layout)


def predictions_path(vault: str, selection: str) -> Path:
    """Where the encrypted predictions of an opening lie."""
    return folder_of(vault) / "openings" / f"{selection}.sealed"


def _require(vault: str, entry: ledger.Entry, type: str) -> None:
    """The entry must be durable and say what it must say: an object in memory opens nothing."""
    durable = ledger.read_entry(folder_of(vault) / "ledger", entry.index)
    if durable.sha256 != entry.sha256 or durable.type != type or durable.fields["vault"] != vault:
        raise VaultRefused(f"vault {vault[:8]}", f"nothing is decrypted without {type} in its ledger")


def _open_part(vault: str, part: str) -> Iterator[bytes]:
    return stream.open_file(
        folder_of(vault) / f"{part}.sealed", _derived(vault, part, f"seal {part}"), _associated(vault, part)
    )


def _derived(vault: str, part: str, purpose: str) -> bytes:
    check = read_manifest(folder_of(vault))[0]["keys"]["check"][part]
    return keys.derive(keys.load_key(vault, part, check), vault, purpose)


def _associated(vault: str, part: str) -> bytes:
    return stream.associated_data(vault, part, read_manifest(folder_of(vault))[1])


def _as_array(content: bytes, layout: dict[str, Any]) -> NDArray[Any]:
    return np.frombuffer(content, np.dtype(layout["dtype"])).reshape(layout["shape"])


def _split(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Rows of `size` bytes from pieces of any size."""
    rest = b""
    for piece in pieces:
        joined = rest + piece
        whole = len(joined) - len(joined) % size
        yield from (joined[start : start + size] for start in range(0, whole, size))
        rest = joined[whole:]
