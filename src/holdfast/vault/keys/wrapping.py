"""Wrapping of the two keys of a vault, in the key modes that leave no key on this machine.

    passphrase   a key from Scrypt (RFC 7914, n = 2**17, r = 8, p = 1) wraps both by AES-256-GCM
    keyfile      a fresh X25519 exchange for each with the holder's public key, HKDF-SHA256, AES-256-GCM, the base mode
                 of HPKE (RFC 9180) in outline; who seals has the public key only

`wrapped.json` in the vault's folder holds what unwraps: {"version", "mode", "x", "y", "check"} and the salt or the
public key. Beside both keys "check" is wrapped, a constant: a wrong passphrase or key is found by it, so that neither
key is unwrapped before its time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

VERSION = 1
FILE_NAME = "wrapped.json"
SCRYPT = {"n": 2**17, "r": 8, "p": 1}
KEY_BYTES = 32
NONCE_BYTES = 12
CHECK = b"holdfast check"
NO_NONCE = bytes(NONCE_BYTES)  # each wrapping key is used once

Unwrap = Callable[[str], bytes]
Cipher = Callable[[bytes, bytes], bytes]  # of content, and of what it is about


def wrap_by_passphrase(secret: Mapping[str, bytes], vault: str, passphrase: str) -> dict[str, Any]:
    """The content of `wrapped.json`."""
    salt = secrets.token_bytes(16)
    cipher = AESGCM(_stretch(passphrase, salt))

    def wrap(content: bytes, about: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, content, about)

    return {"mode": "passphrase", "salt": salt.hex(), "scrypt": SCRYPT, **_wrapped(secret, vault, wrap)}


def by_passphrase(fields: Mapping[str, Any], vault: str, passphrase: str) -> Unwrap | None:
    """A function that unwraps the key of a part; None when the passphrase is wrong."""
    if fields["scrypt"] != SCRYPT:
        return None
    cipher = AESGCM(_stretch(passphrase, bytes.fromhex(fields["salt"])))
    return _unwrapper(
        fields, vault, lambda content, about: cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], about)
    )


def wrap_for(public: bytes, secret: Mapping[str, bytes], vault: str) -> dict[str, Any]:
    """The content of `wrapped.json`, for the holder of the private key of `public`."""

    def wrap(content: bytes, about: bytes) -> bytes:
        ephemeral = X25519PrivateKey.generate()
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
        enc = ephemeral.public_key().public_bytes_raw()
        return enc + _agreed(shared, enc, public, about).encrypt(NO_NONCE, content, about)

    return {"mode": "keyfile", "public": public.hex(), **_wrapped(secret, vault, wrap)}


def with_private_key(fields: Mapping[str, Any], vault: str, private: X25519PrivateKey) -> Unwrap | None:
    """A function that unwraps the key of a part; None when it was wrapped for another key."""
    public = private.public_key().public_bytes_raw()

    def decrypt(content: bytes, about: bytes) -> bytes:
        enc = content[:KEY_BYTES]
        shared = private.exchange(X25519PublicKey.from_public_bytes(enc))
        return _agreed(shared, enc, public, about).decrypt(NO_NONCE, content[KEY_BYTES:], about)

    return _unwrapper(fields, vault, decrypt)


def _wrapped(secret: Mapping[str, bytes], vault: str, wrap: Cipher) -> dict[str, Any]:
    contents = {**secret, "check": CHECK}
    return {"version": VERSION} | {name: wrap(content, _about(vault, name)).hex() for name, content in contents.items()}


def _unwrapper(fields: Mapping[str, Any], vault: str, decrypt: Cipher) -> Unwrap | None:
    def unwrap(name: str) -> bytes:
        return decrypt(bytes.fromhex(fields[name]), _about(vault, name))

    try:
        return unwrap if unwrap("check") == CHECK else None
    except (InvalidTag, ValueError):
        return None


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, **SCRYPT).derive(passphrase.encode())


def _agreed(shared: bytes, enc: bytes, public: bytes, about: bytes) -> AESGCM:
    info = b"holdfast 1 wrap " + enc + public + about
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(shared))


def _about(vault: str, name: str) -> bytes:
    return f"{vault} {name}".encode()
