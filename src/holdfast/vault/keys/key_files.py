"""The files of keys: the two keys of a vault in key mode `local`, one for X and one for y, and the fingerprint key.

    <keys>/<vault>.x.key, .y.key      {"version": 1, "vault", "part", "key": 64 hex digits}, mode 0600
    <keys>/<vault>.cells.key          that of the hashes of the cells of a table
    <keys>/fingerprint.key            the same with "vault": "*": one key per HOLDFAST_HOME, to compare vaults
    <keys>/<vault>.fingerprint.key    of a vault that came from another HOLDFAST_HOME

What encrypts, checks and salts are separate keys, derived by HKDF-SHA256 (RFC 5869) from the one in the file.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from holdfast.core import places
from holdfast.core.advice import in_shell
from holdfast.core.errors import VaultRefused
from holdfast.core.files import canonical_json, open_plain, write_atomic

PARTS = ("x", "y")
CELLS = "cells"
KEY_BYTES = 32
MARKS = (".git", "holdfast.lock")  # of a project
OTHERS = stat.S_IRWXG | stat.S_IRWXO
FINGERPRINT = ("*", "fingerprint")


def create_keys(vault: str) -> dict[str, bytes]:
    """Draw and store the two keys of a new vault."""
    return {part: store_key(key_path(vault, part), vault, part) for part in PARTS}


def check_value(key: bytes, vault: str, part: str) -> str:
    """The manifest's means to tell the right key from a wrong one, as 64 hex digits."""
    return derive(key, vault, f"check {part}").hex()


def derive(key: bytes, vault: str, purpose: str) -> bytes:
    """The key for one purpose: "seal x", "seal y", "check x", "check y", "check fingerprint" or "rows"."""
    return HKDF(SHA256(), KEY_BYTES, salt=vault.encode(), info=f"holdfast 1 {purpose}".encode()).derive(key)


def remove_keys(vault: str) -> None:
    """Delete the keys of a vault: what they sealed cannot be read again, and no row is known by its cells."""
    for part in (*PARTS, CELLS):
        overwrite(key_path(vault, part))


def overwrite(path: Path) -> None:
    """Write zeros over a file, as far as the disk lets one, and delete it."""
    if path.exists():
        path.write_bytes(bytes(path.stat().st_size))
        path.unlink()


def key_path(vault: str, part: str) -> Path:
    """Path of a key of a vault: "x" and "y" in mode `local`, "cells", "fingerprint" of an imported one."""
    return places.keys() / f"{vault}.{part}.key"


def fingerprint_key(*, may_create: bool = False, vault: str = "*") -> bytes:
    """The secret key of all fingerprints of this HOLDFAST_HOME; drawn on first use, when there is no vault yet.

    A vault that was imported has a key of its own.

    Raises:
        VaultRefused: It is gone although there are vaults, or its file is not as it must be.
    """
    if key_path(vault, "fingerprint").exists():
        return read_key(key_path(vault, "fingerprint"), vault, "fingerprint")
    path = places.keys() / "fingerprint.key"
    if may_create and not path.exists():
        return store_key(path, *FINGERPRINT)
    return read_key(path, *FINGERPRINT)


def store_key(path: Path, vault: str, part: str, *, key: bytes = b"") -> bytes:
    """Write a key file that only this user can read, outside of the project; a new key where none is given."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_project(path)
    key = key or secrets.token_bytes(KEY_BYTES)
    write_atomic(path, as_content(key, vault, part), mode=0o600)
    return key


def as_content(key: bytes, vault: str, part: str) -> bytes:
    """The content of a key file."""
    return canonical_json({"key": key.hex(), "part": part, "vault": vault, "version": 1})


def read_key(path: Path, vault: str, part: str) -> bytes:
    """The key in a file of this user's alone.

    Raises:
        VaultRefused: The file is missing, readable by others, inside the project, tracked, empty, or another one's.
    """
    try:
        if path.is_symlink():
            raise VaultRefused(str(path), "the key is a link: it would travel with what it points at", next="move it")
        with open_plain(path) as file:
            status, raw = os.fstat(file.fileno()), file.read()
    except OSError as error:
        hint = "put the key back where it was, or set HOLDFAST_KEYS to its folder"
        raise VaultRefused(str(path), f"the key cannot be read ({error.strerror})", next=hint) from None
    if status.st_mode & OTHERS:
        raise VaultRefused(str(path), "the key is open to other users", next=f"chmod 600 {in_shell(path)}")
    if path.parent == places.keys() and path.parent.stat().st_mode & OTHERS:
        hint = f"chmod 700 {in_shell(path.parent)}"
        raise VaultRefused(str(path.parent), "the folder of keys is open to other users", next=hint)
    if status.st_uid != os.getuid():
        raise VaultRefused(str(path), "the key belongs to another user")
    _refuse_project(path)
    return parse_key(path, raw, vault, part)


def parse_key(path: Path, raw: bytes, vault: str, part: str) -> bytes:
    """The key in the content of a file.

    Raises:
        VaultRefused: It is empty, of no form known here, or another vault's or part's.
    """
    if not raw.strip(b"\x00 \n"):
        raise VaultRefused(str(path), "the key file is empty")
    try:
        fields = json.loads(raw)
        owner, key = (fields["vault"], fields["part"]), bytes.fromhex(fields["key"])
        if fields["version"] != 1 or len(key) != KEY_BYTES:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise VaultRefused(str(path), "is no key file of a version known here") from None
    if owner != (vault, part):
        problem = f"is the key of {owner[1]} of vault {str(owner[0])[:8]}, not of {part} of vault {vault[:8]}"
        raise VaultRefused(str(path), problem)
    return key


def _refuse_project(path: Path) -> None:
    """Refuse a key in the project: it travels with it, into a commit, a copy, an upload."""
    place, project = path.resolve(), _project()
    if project is not None and place.is_relative_to(project):
        hint = "set HOLDFAST_HOME or HOLDFAST_KEYS to a folder outside it"
        raise VaultRefused(str(path), f"a key must not lie inside the project {project}", next=hint)
    if place.exists() and any((folder / ".git").exists() for folder in place.parents):
        command = ["git", "ls-files", "--error-unmatch", place.name]
        if subprocess.run(command, cwd=place.parent, capture_output=True, check=False).returncode == 0:
            raise VaultRefused(str(path), "the key is tracked by git", next="git rm --cached it, and seal again")


def _project() -> Path | None:
    """The nearest folder with .git or holdfast.lock, else the working folder; a user's own home is no project."""
    here = Path.cwd().resolve()
    marked = (folder for folder in (here, *here.parents) if any((folder / name).exists() for name in MARKS))
    project = next(marked, here)
    return None if Path.home().resolve().is_relative_to(project) else project
