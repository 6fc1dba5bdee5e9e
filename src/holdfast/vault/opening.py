"""The only place that decrypts test rows. Each step asks for the ledger entry that must come before it.

check_sealed     everything that can be known without spending: the sealed files are whole, both keys are right; gives a
                 ring, which hands out a key when it is needed
open_x           needs the durable `open.intent`: the opening is spent
keep, kept       predictions and outcomes of each row, encrypted
open_y           needs the durable `open.predicted`, which states the hash of the predictions
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import VaultRefused
from holdfast.core.files import replaced, sha256_file, sha256_hex, sync_folder
from holdfast.vault import sealed_files, verify
from holdfast.vault.keys import key_files
from holdfast.vault.keys.keyring import Ring, unlock
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import FILE_NAME, GROUPS_FILE, folder_of, parse_manifest, read_manifest

KEPT = {"predictions": "x", "outcomes": "y"}  # and the key that each is kept under


class Mismatch(VaultRefused):
    """The decrypted rows or predictions are not those that the ledger states; `body` has both hashes."""

    def __init__(self, kind: str, *, stated: str, found: str) -> None:
        hint = "holdfast vault verify; restore the vault's folder from a copy, then open the same selection again"
        super().__init__("opening", f"the {kind} are not those that the ledger states", next=hint)
        self.body = {"what": kind, "stated": stated, "found": found}


def check_sealed(vault: str, key_file: Path | None = None) -> Ring:
    """Check files and keys; nothing of the rows is decrypted.

    Raises:
        VaultRefused: A file is not what was sealed, or a key is not the one it was sealed with.
    """
    folder = folder_of(vault)
    entries = [ledger.read_entry(folder / "ledger", 0)]
    problems = verify.manifest_problems(folder, vault, entries), verify.sealed_problems(folder, entries)
    for _, where, problem in itertools.chain(*problems):
        raise VaultRefused(where, problem, next="restore it from a copy")
    return unlock(vault, folder, read_manifest(vault)["keys"], key_file)


def open_x(vault: str, intent: ledger.Entry, ring: Ring) -> Iterator[bytes]:
    """The raw test rows, piece by piece, as `data.rows.read_piece` takes them.

    Raises:
        VaultRefused: The intent is not in the ledger, or a file or key is not right.
    """
    _require(vault, intent, "open.intent")
    return (content for _, content in sealed_files.read_pieces(_open_part(vault, "x", ring)))


def open_y(vault: str, predicted: ledger.Entry, ring: Ring) -> NDArray[Any]:
    """The targets of the test rows, after the row commitment has been checked against both parts.

    Raises:
        Mismatch: The rows are not the ones committed to.
        VaultRefused: The hash of the predictions is not in the ledger.
    """
    _require(vault, predicted, "open.predicted")
    layout = read_manifest(vault)["parts"]
    y = _as_array(b"".join(_open_part(vault, "y", ring)), layout["y"])
    tree = sealed_files.RowCommitment(key_files.derive(ring("y"), vault, "rows"))
    done = 0
    for digests, _ in sealed_files.read_pieces(_open_part(vault, "x", ring)):
        targets = y[done : done + len(digests)]
        if len(targets) < len(digests):
            break
        tree.add(digests.tobytes(), targets.tobytes(), len(targets))
        done += len(digests)
    stated = ledger.read_entry(folder_of(vault) / "ledger", 0).body["rows"]
    if done != len(y) or tree.root() != stated:
        raise Mismatch("rows", stated=stated, found=tree.root())
    return y


def group_numbers(vault: str) -> NDArray[np.int64] | None:
    """(n,) Number of the group of every sealed row, in their order; None where no groups were declared."""
    path = folder_of(vault) / GROUPS_FILE
    if not path.exists():
        return None
    content, sealed = path.read_bytes(), ledger.read_entry(folder_of(vault) / "ledger", 0)
    if sha256_hex(content) != sealed.body["files"].get(GROUPS_FILE):
        raise VaultRefused(str(path), "is not the file that was sealed", next="restore it from a copy")
    return np.frombuffer(content, "<i8").astype(np.int64)


def keep(vault: str, entry: ledger.Entry, kind: str, array: NDArray[Any], ring: Ring) -> dict[str, Any]:
    """Encrypt what an opening has made of each row; what a ledger entry says of it: {"file", "dtype", "shape"}.

    `kind` is "predictions", after the intent, which outlive a crash; or "outcomes", after `open.predicted`.
    """
    _require(vault, entry, "open.intent" if kind == "predictions" else "open.predicted")
    path, key, associated = _kept_place(vault, entry, kind, ring)
    path.parent.mkdir(exist_ok=True)
    content = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    with replaced(path) as temporary:
        sha256 = sealed_files.seal_file(temporary, [content.tobytes()], key, associated)
    sync_folder(path.parent)
    return {"file": sha256} | sealed_files.layout_of(content)


def kept(vault: str, entry: ledger.Entry, kind: str, ring: Ring) -> NDArray[Any]:
    """Decrypt what an opening has kept: "predictions" as `open.predicted` states them, "outcomes" as `open.result`.

    Raises:
        Mismatch: The file is not the one that the ledger names.
        VaultRefused: It is missing.
    """
    _require(vault, entry, "open.predicted" if kind == "predictions" else "open.result")
    path, key, associated = _kept_place(vault, entry, kind, ring)
    fields = entry.body if kind == "predictions" else entry.body["outcomes"]
    if not path.is_file():
        raise VaultRefused(str(path), "is missing", next="restore it from a copy")
    if (sha256 := sha256_file(path)) != fields["file"]:
        raise Mismatch(kind, stated=fields["file"], found=sha256)
    return _as_array(b"".join(sealed_files.open_file(path, key, associated)), dict(fields))


def _kept_place(vault: str, entry: ledger.Entry, kind: str, ring: Ring) -> tuple[Path, bytes, bytes]:
    """The file of the encrypted predictions or outcomes of an opening, its key and its associated data."""
    suffix, purpose = "" if kind == "predictions" else f".{kind}", f"{kind} {entry.selection}"
    path = folder_of(vault) / "openings" / f"{entry.selection}{suffix}.sealed"
    return path, key_files.derive(ring(KEPT[kind]), vault, purpose), _associated(vault, purpose)


def _require(vault: str, entry: ledger.Entry, type: str) -> None:
    """The entry must be durable and say what it must say: an object in memory opens nothing."""
    durable = ledger.read_entry(folder_of(vault) / "ledger", entry.index)
    if durable.sha256 != entry.sha256 or durable.type != type or durable.fields["vault"] != vault:
        raise VaultRefused(f"vault {vault[:8]}", f"nothing is decrypted without {type} in its ledger")


def _open_part(vault: str, part: str, ring: Ring) -> Iterator[bytes]:
    key = key_files.derive(ring(part), vault, f"seal {part}")
    return sealed_files.open_file(folder_of(vault) / sealed_files.FILES[part], key, _associated(vault, part))


def _associated(vault: str, part: str) -> bytes:
    return sealed_files.associated_data(vault, part, parse_manifest(folder_of(vault) / FILE_NAME)[1])


def _as_array(content: bytes, layout: dict[str, Any]) -> NDArray[Any]:
    return np.frombuffer(content, np.dtype(layout["dtype"])).reshape(layout["shape"])
