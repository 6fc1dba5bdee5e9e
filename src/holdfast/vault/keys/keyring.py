"""The keys of a vault, by key mode.

local        both lie on this machine, in files of their own (`key_files`)
passphrase   a key from Scrypt (RFC 7914, n = 2**17, r = 8, p = 1) wraps both by AES-256-GCM; who seals types it
keyfile      HPKE in base mode (RFC 9180) wraps both for the holder's public key: X25519, HKDF-SHA256, AES-256-GCM;
             who seals has the public key only

wrapped.json      in the vault's folder: {"version", "mode", "x", "y", "check"} and the salt or the public key.
                  "check" is a constant: a wrong passphrase or key is found by it, so that neither key is unwrapped
                  before its time
FILE, FILE.pub    {"version": 1, "vault": "*", "part": "private" or "public", "key": 64 hex digits}: an X25519 pair
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

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import write_atomic
from holdfast.vault.keys import key_files

WRAPPED = "wrapped.json"
VERSION = 1
SCRYPT = {"n": 2**17, "r": 8, "p": 1}
NONCE_BYTES = 12
CHECK = b"holdfast check"
HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
PRIVATE, PUBLIC = ("*", "private"), ("*", "public")

Ring = Callable[[str], bytes]  # hands out the key of a part, when it is needed
Cipher = Callable[[bytes, bytes], bytes]  # of content, and of what it is about


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
    if mode == "keyfile":
        assert public is not None
        return secret, wrap_for(public, secret, vault)
    passphrase = _ask("passphrase of the new vault: ")
    if _ask("the same again: ") != passphrase:
        raise VaultRefused("passphrase", "the two differ", next="start again")
    salt = secrets.token_bytes(16)
    cipher = _passphrase_cipher(passphrase, salt)

    def encrypt(content: bytes, about: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, content, about)

    return secret, {"mode": mode, "salt": salt.hex(), "scrypt": SCRYPT, **_wrapped(secret, vault, encrypt)}


def wrap_for(public: str, secret: Mapping[str, bytes], vault: str) -> dict[str, Any]:
    """The content of `wrapped.json` for the holder of the private key of `public`, which is in hex digits."""
    key = X25519PublicKey.from_public_bytes(bytes.fromhex(public))
    wrapped = _wrapped(secret, vault, lambda content, about: HPKE.encrypt(content, key, about))
    return {"mode": "keyfile", "public": public, **wrapped}


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
    unwrap = _unwrapper(vault, folder / WRAPPED, mode, key_file)

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
    """The public key that a vault is sealed for, as hex digits; None in other key modes.

    Raises:
        InputError: Its file cannot be read or holds none.
    """
    if not settings["public_key"]:
        return None
    path = Path(settings["public_key"])
    try:
        return key_files.parse_key(path, path.read_bytes(), *PUBLIC).hex()
    except OSError as error:
        raise InputError("vault.public_key", f"{path} cannot be read ({error.strerror})") from None
    except VaultRefused as error:
        hint = "name the file that ends in .pub; training never needs the private key"
        raise InputError("vault.public_key", f"{path} {error.problems[0].what}", next=hint) from None


def _ask(prompt: str) -> str:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        typed = getpass.getpass(prompt)
    except (OSError, EOFError):
        hint = "start it from a terminal; a passphrase is taken from no argument, file or environment"
        raise VaultRefused("passphrase", "there is no terminal to type it on", next=hint) from None
    if not typed:
        raise VaultRefused("passphrase", "is empty")
    return typed


def _passphrase_cipher(passphrase: str, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=key_files.KEY_BYTES, **SCRYPT).derive(passphrase.encode()))


def _wrapped(secret: Mapping[str, bytes], vault: str, encrypt: Cipher) -> dict[str, Any]:
    contents = {**secret, "check": CHECK}
    wrapped = {name: encrypt(content, _about(vault, name)).hex() for name, content in contents.items()}
    return {"version": VERSION, **wrapped}


def _unwrapper(vault: str, path: Path, mode: str, key_file: Path | None) -> Ring:
    """A function that hands out the key of a part, unchecked."""
    if mode == "local":
        return lambda part: key_files.read_key(key_files.key_path(vault, part), vault, part)
    name = f"vault {vault[:8]}"
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise VaultRefused(str(path), "the wrapped keys cannot be read", next="restore it from a copy") from None
    if mode == "passphrase":
        where, problem = "passphrase", f"is not that of {name}: nothing was spent"
        cipher = _passphrase_cipher(_ask(f"passphrase of {name}: "), bytes.fromhex(fields["salt"]))

        def decrypt(content: bytes, about: bytes) -> bytes:
            return cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], about)
    elif key_file is None:
        raise VaultRefused(name, "needs the private key it was sealed for", next="holdfast open SELECTION --key FILE")
    else:
        where, problem = str(key_file), f"is another vault's key, not that of {name}: nothing was spent"
        private = X25519PrivateKey.from_private_bytes(key_files.read_key(key_file.absolute(), *PRIVATE))

        def decrypt(content: bytes, about: bytes) -> bytes:
            return HPKE.decrypt(content, private, about)

    def unwrap(part: str) -> bytes:
        return decrypt(bytes.fromhex(fields[part]), _about(vault, part))

    try:
        is_right = unwrap("check") == CHECK
    except (InvalidTag, ValueError):
        is_right = False
    if not is_right:
        raise VaultRefused(where, problem)
    return unwrap


def _about(vault: str, name: str) -> bytes:
    return f"{vault} {name}".encode()
