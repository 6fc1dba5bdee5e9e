"""Moving a vault: `export` writes one tar file, `import` reads it into another HOLDFAST_HOME.

    vault/...           the vault's folder: sealed parts, manifest, ledger, selections, openings
    head.json           {"vault", "head"}: the head of its ledger, as the registry knows it
    keys/...            the fingerprint key, by which its rows are known; with `with_keys` the keys of mode `local` too

The file is for this user alone (0600). A vault that was opened in two places has forked: `verify --against` finds it.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from holdfast.core import places
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import canonical_json, new_file, replaced, sync_folder
from holdfast.vault import known_rows, lifecycle, registry
from holdfast.vault.keys import key_files
from holdfast.vault.manifest import folder_of
from holdfast.vault.verify import verify_vault


def export_vault(vault: str, path: Path, *, with_keys: bool = False) -> None:
    """Write a vault into a new file; without the keys of mode `local` its rows stay unreadable elsewhere.

    Raises:
        InputError: The file exists.
        VaultRefused: The vault is not whole, or the disk is full.
    """
    if path.exists():
        raise InputError(str(path), "exists already", next="choose another file")
    registry.read_ledger(vault)
    contents = {
        "head.json": canonical_json({"vault": vault, "head": registry.head_of(vault)}),
        "keys/fingerprint.key": key_files.as_content(known_rows.fingerprint_key(vault), vault, "fingerprint"),
    }
    for key_path in (key_files.key_path(vault, part) for part in key_files.PARTS if with_keys):
        if key_path.exists():
            contents[f"keys/{key_path.name.removeprefix(f'{vault}.')}"] = key_path.read_bytes()
    with registry.on_disk(path, "the vault could not be exported"):
        with replaced(path) as temporary:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
                for inner_path in _files_of(folder_of(vault)):
                    archive.add(folder_of(vault) / inner_path, f"vault/{inner_path.as_posix()}")
                for name, content in contents.items():
                    info = tarfile.TarInfo(name)
                    info.size, info.mode = len(content), 0o600
                    archive.addfile(info, io.BytesIO(content))
        sync_folder(path.parent)


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
            fields = json.loads((unpacked / "head.json").read_bytes())
            vault = str(fields["vault"])
            if not lifecycle.VAULT_NAME.fullmatch(vault):
                raise ValueError("names no vault")
            if (places.registry() / f"{vault}.json").exists() or folder_of(vault).exists():
                hint = "`holdfast vault verify --against COPY` compares two copies"
                raise VaultRefused(f"vault {vault[:8]}", "is here already", next=hint)
            (unpacked / "vault").rename(unpacked / vault)
            if findings := verify_vault(unpacked / vault, fields["head"]):
                problem = f"is not whole: {findings[0].kind} {findings[0].where} {findings[0].what}"
                raise VaultRefused(str(path), problem, next="export it again")
            for part in ("fingerprint", *key_files.PARTS):
                key_file = unpacked / "keys" / f"{part}.key"
                if part == "fingerprint" or key_file.exists():
                    key = key_files.parse_key(key_file, key_file.read_bytes(), vault, part)
                    key_files.store_key(key_files.key_path(vault, part), vault, part, key=key)
            (unpacked / vault).rename(folder_of(vault))
            sync_folder(places.vaults())
            lifecycle.recover()
        except (tarfile.TarError, ValueError, KeyError, TypeError, FileNotFoundError) as error:
            problem = f"is no export of a vault ({error})"
            raise InputError(str(path), problem, next="holdfast vault export VAULT FILE") from None
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    return vault


def _unpack(path: Path, target: Path) -> None:
    """Unpack plain files; anything else, and a place outside `target`, is refused by a ValueError."""
    with tarfile.open(path) as archive:
        for member in archive:
            name, content = PurePosixPath(member.name), archive.extractfile(member)
            if name.is_absolute() or ".." in name.parts or not member.isfile() or content is None:
                raise ValueError(f"holds {member.name[:80]!r}")
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with new_file(place) as file:
                shutil.copyfileobj(content, file)


def _files_of(folder: Path) -> Iterator[Path]:
    """The plain files in a folder that are not hidden, by their places in it."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in place.parts):
            yield place
