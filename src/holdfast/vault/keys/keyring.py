"""The keys of a vault, by key mode: `local`, `passphrase` or `keyfile`.

    FILE, FILE.pub    {"version": 1, "vault": "*", "part": "private" or "public", "key": 64 hex digits}: an X25519 pair

In the modes `passphrase` and `keyfile` no key of a vault lies on this machine in the open (`wrapping`); who seals types
the passphrase, or has the public key only.
"""

from __future__ import annotations

import getpass
import hmac
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import write_atomic
from holdfast.vault.keys import key_files, wrapping

PRIVATE, PUBLIC = ("*", "private"), ("*", "public")

Ring = Callable[[str], bytes]  # hands out the key of a part, when it is needed


def draw_keys(vault: str, mode: str = "local", public: str | None = None) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Draw the two keys of a new vault.

    Args:
        mode: "local": they are stored; "passphrase": it is asked for, twice; "keyfile": they are wrapped for `public`.
        public: The holder's public key, as hex digits.

    Returns:
        The key of each part, and the content of `wrapped.json`, empty in mode `local`.

    Raises:
        VaultRefused: There is no terminal to type a passphrase on, or what was typed is empty or differs.
    """
    if mode == "local":
        return key_files.create_keys(vault), {}
    secret = {part: secrets.token_bytes(key_files.KEY_BYTES) for part in key_files.PARTS}
    if mode == "passphrase":
        passphrase = _ask("passphrase of the new vault: ")
        if _ask("the same again: ") != passphrase:
            raise VaultRefused("passphrase", "the two differ", next="start again")
        return secret, wrapping.wrap_by_passphrase(secret, vault, passphrase)
    assert public is not None
    return secret, wrapping.wrap_for(bytes.fromhex(public), secret, vault)


def unlock(vault: str, folder: Path, fields: Mapping[str, Any], key_file: Path | None = None) -> Ring:
    """Check that both keys can be had, and give what hands them out; spends nothing.

    Args:
        fields: "keys" of its manifest: the mode and a check value of each part.
        key_file: The private key, in mode `keyfile`.

    Raises:
        VaultRefused: A key file is missing, readable by others, inside the project, empty, or another vault's, or is
            given where there is none; the passphrase is wrong.
    """
    mode, check = fields["mode"], fields["check"]
    if key_file is not None and mode != "keyfile":
        raise VaultRefused(f"vault {vault[:8]}", f"has key mode {mode} and takes no key file", next="leave out --key")
    unwrap = _unwrapper(vault, folder / wrapping.FILE_NAME, mode, key_file)

    def key_of(part: str) -> bytes:
        key = unwrap(part)
        if not hmac.compare_digest(key_files.check_value(key, vault, part), check[part]):
            raise VaultRefused(f"the key of {part}", f"is the wrong key for vault {vault[:8]}: nothing was spent")
        return key

    for part in key_files.PARTS if mode == "local" else ():  # others are unwrapped when their time has come
        key_of(part)
    return key_of


def generate(path: Path) -> Path:
    """Write a private key to `path` and its public key beside it; returns the place of the public key.

    Raises:
        InputError: There is a file already.
        VaultRefused: The place is inside the project.
    """
    public_path = path.with_name(f"{path.name}.pub")
    for taken in (path, public_path):
        if taken.exists():
            raise InputError(str(taken), "exists already", next="choose another file: a key is never overwritten")
    private = X25519PrivateKey.generate()
    key_files.store_key(path, *PRIVATE, key=private.private_bytes_raw())
    write_atomic(public_path, key_files.as_content(private.public_key().public_bytes_raw(), *PUBLIC))
    return public_path


def public_key_of(settings: Mapping[str, Any]) -> str | None:
    """The public key that a vault is sealed for, as hex digits; None in other key modes."""
    return read_public(Path(settings["public_key"])).hex() if settings["public_key"] else None


def read_public(path: Path) -> bytes:
    """The public key in a file.

    Raises:
        InputError: It cannot be read or is none.
    """
    try:
        return key_files.parse_key(path, path.read_bytes(), *PUBLIC)
    except OSError as error:
        raise InputError("vault.public_key", f"{path} cannot be read ({error.strerror})") from None
    except VaultRefused as error:
        hint = "name the file that ends in .pub; training never needs the private key"
        raise InputError("vault.public_key", f"{path} {error.problems[0].what}", next=hint) from None


def _ask(prompt: str) -> str:
    try:
        if os.name != "nt":
            os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        typed = getpass.getpass(prompt)
    except (OSError, EOFError):
        hint = "start it from a terminal; a passphrase is taken from no argument, file or environment"
        raise VaultRefused("passphrase", "there is no terminal to type it on", next=hint) from None
    if not typed:
        raise VaultRefused("passphrase", "is empty")
    return typed


def _unwrapper(vault: str, path: Path, mode: str, key_file: Path | None) -> wrapping.Unwrap:
    """A function that hands out the key of a part, unchecked."""
    name = f"vault {vault[:8]}"
    if mode == "local":
        return lambda part: key_files.read_key(key_files.key_path(vault, part), vault, part)
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise VaultRefused(str(path), "the wrapped keys cannot be read", next="restore it from a copy") from None
    if mode == "passphrase":
        if unwrap := wrapping.by_passphrase(fields, vault, _ask(f"passphrase of {name}: ")):
            return unwrap
        raise VaultRefused("passphrase", f"is not that of {name}: nothing was spent")
    if key_file is None:
        raise VaultRefused(name, "needs the private key it was sealed for", next="holdfast open SELECTION --key FILE")
    private = X25519PrivateKey.from_private_bytes(key_files.read_key(key_file.absolute(), *PRIVATE))
    if unwrap := wrapping.with_private_key(fields, vault, private):
        return unwrap
    raise VaultRefused(str(key_file), f"is another vault's key, not that of {name}: nothing was spent")
