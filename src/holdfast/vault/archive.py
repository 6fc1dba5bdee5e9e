"""Moving a vault: `export` writes one tar file, `import` reads it into another HOLDFAST_HOME.

    vault/...           the vault's folder: sealed parts, manifest, ledger, selections, openings
    record.json         what the registry knows
    keys/...            the fingerprint key, by which its rows are known; with `with_keys` the keys of mode `local` too

The file is for this user alone (0600). A vault that was opened in two places has forked: `verify --against` finds it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from holdfast.core import places
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import canonical_json, sync_folder
from holdfast.vault import known_rows, lifecycle, registry
from holdfast.vault.keys import key_files
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of
from holdfast.vault.verify import verify_vault

FINGERPRINT_KEY = "fingerprint.key"
MAX_BYTES = 2**40


def export_vault(vault: str, path: Path, *, with_keys: bool = False) -> None:
    """Write a vault into a new file.

    Args:
        vault: Its id.
        path: A tar file that does not exist.
        with_keys: Whether the keys of mode `local` go along; without them the rows stay unreadable elsewhere.

    Raises:
        InputError: The file exists.
        VaultRefused: The vault is not whole, or the disk is full.
    """
    if path.exists():
        raise InputError(str(path), "exists already", next="choose another file")
    record = registry.record_of(vault)
    registry.read_ledger(vault)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    key = known_rows.fingerprint_key(vault)
    content = {"key": key.hex(), "part": "fingerprint", "vault": vault, "version": 1}
    try:
        with registry.on_disk(path, "the vault could not be exported"):
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
                for one in _files_of(folder_of(vault)):
                    archive.add(one, f"vault/{one.relative_to(folder_of(vault)).as_posix()}", recursive=False)
                _add(archive, "record.json", canonical_json(record))
                _add(archive, f"keys/{FINGERPRINT_KEY}", canonical_json(content))
                for part in key_files.PARTS if with_keys else ():
                    if key_files.key_path(vault, part).exists():
                        _add(archive, f"keys/{part}.key", key_files.key_path(vault, part).read_bytes())
            os.rename(temporary, path)
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def import_vault(path: Path) -> str:
    """Read a vault from a file; returns its id.

    Raises:
        InputError: It is no export.
        VaultRefused: The vault is here already, or what came is not whole.
    """
    unpacked = places.vaults() / f"{lifecycle.STAGING}import-{secrets.token_hex(8)}"
    with registry.on_disk(places.vaults(), "the vault could not be imported"), registry.locked():
        lifecycle.recover()
        try:
            _unpack(path, unpacked)
            record = json.loads((unpacked / "record.json").read_bytes())
            vault = str(record["vault"])
            if not lifecycle.VAULT_NAME.fullmatch(vault):
                raise ValueError("names no vault")
            _refuse_known(vault)
            (unpacked / "vault").rename(unpacked / vault)
            if findings := verify_vault(unpacked / vault, None):
                what = f"is not whole: {findings[0].kind} {findings[0].where} {findings[0].what}"
                raise VaultRefused(str(path), what, next="export it again")
            head = ledger.read(unpacked / vault / "ledger")[record["head"]["index"]]
            if head.sha256 != record["head"]["sha256"]:
                raise VaultRefused(str(path), "its ledger has not the head that its home remembered")
            _take_keys(vault, unpacked / "keys")
            (unpacked / vault).rename(folder_of(vault))
            sync_folder(places.vaults())
            lifecycle.adopt(folder_of(vault))
            lifecycle.recover()
        except (tarfile.TarError, ValueError, KeyError, TypeError, IndexError, FileNotFoundError) as error:
            what = f"is no export of a vault ({error})"
            raise InputError(str(path), what, next="holdfast vault export VAULT FILE") from None
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    return vault


def _refuse_known(vault: str) -> None:
    if (places.registry() / f"{vault}.json").exists() or folder_of(vault).exists():
        what = "is here already"
        raise VaultRefused(
            f"vault {vault[:8]}", what, next="`holdfast vault verify --against COPY` compares two copies"
        )


def _take_keys(vault: str, folder: Path) -> None:
    """The keys that came along, as files of this user's."""
    kept = key_files.foreign_fingerprint_path(vault)
    key_files.store_key(kept, vault, "fingerprint", key=_key_in(folder / FINGERPRINT_KEY, vault, "fingerprint"))
    for part in key_files.PARTS:
        if (folder / f"{part}.key").exists():
            key = _key_in(folder / f"{part}.key", vault, part)
            key_files.store_key(key_files.key_path(vault, part), vault, part, key=key)


def _key_in(path: Path, vault: str, part: str) -> bytes:
    return key_files.parse_key(path, path.read_bytes(), vault, part)


def _unpack(path: Path, target: Path) -> None:
    """Plain files only, none outside `target`."""
    target.mkdir(mode=0o700)
    with tarfile.open(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or not member.isfile() or member.size > MAX_BYTES:
                raise ValueError(f"holds {member.name[:80]!r}")
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            content = archive.extractfile(member)
            assert content is not None
            with place.open("xb") as file:
                shutil.copyfileobj(content, file)
                file.flush()
                os.fsync(file.fileno())


def _files_of(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if (
            path.is_file()
            and not path.is_symlink()
            and not any(p.startswith(".") for p in path.relative_to(folder).parts)
        ):
            yield path


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    import io

    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o600
    archive.addfile(info, io.BytesIO(content))
