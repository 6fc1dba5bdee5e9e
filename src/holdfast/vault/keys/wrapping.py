"""Wrapping of the two keys of a vault, in the key modes that leave no key on this machine.

    passphrase   a key from Scrypt (RFC 7914, n = 2**17, r = 8, p = 1) wraps both by AES-256-GCM
    keyfile      HPKE in base mode (RFC 9180) for the holder's public key: X25519, HKDF-SHA256, AES-256-GCM; who seals
                 has the public key only

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
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

VERSION = 1
FILE_NAME = "wrapped.json"
SCRYPT = {"n": 2**17, "r": 8, "p": 1}
KEY_BYTES = 32
NONCE_BYTES = 12
CHECK = b"holdfast check"
HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

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
    key = X25519PublicKey.from_public_bytes(public)
    wrapped = _wrapped(secret, vault, lambda content, about: HPKE.encrypt(content, key, about))
    return {"mode": "keyfile", "public": public.hex(), **wrapped}


def with_private_key(fields: Mapping[str, Any], vault: str, private: X25519PrivateKey) -> Unwrap | None:
    """A function that unwraps the key of a part; None when it was wrapped for another key."""
    return _unwrapper(fields, vault, lambda content, about: HPKE.decrypt(content, private, about))


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


def _about(vault: str, name: str) -> bytes:
    return f"{vault} {name}".encode()
