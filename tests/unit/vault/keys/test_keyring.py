from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.vault_acts import keygen
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import canonical_json
from holdfast.vault.keys import key_files, keyring

VAULT = "a" * 32
SECRET = {"x": b"x" * 32, "y": b"y" * 32}


def _fields(mode: str) -> dict[str, object]:
    return {"mode": mode, "check": {part: key_files.check_value(key, VAULT, part) for part, key in SECRET.items()}}


def _write(folder: Path, wrapped: dict[str, object]) -> Path:
    (folder / keyring.WRAPPED).write_bytes(canonical_json(wrapped))
    return folder


def _public(path: Path) -> str:
    return str(keyring.public_key_of({"public_key": path}))


@pytest.fixture
def pair(home: Path, tmp_path: Path) -> Path:
    """The place of a private key; its public one lies beside it."""
    path = tmp_path / "away" / "holder.key"
    assert keyring.generate(path) == path.with_name("holder.key.pub")
    return path


def test_a_private_key_unlocks_what_its_public_key_sealed(pair: Path, tmp_path: Path) -> None:
    assert pair.stat().st_mode & 0o777 == 0o600
    public = _public(pair.with_name("holder.key.pub"))
    folder = _write(tmp_path, keyring.wrap_for(public, SECRET, VAULT))
    assert all(key.hex().encode() not in (folder / keyring.WRAPPED).read_bytes() for key in SECRET.values())
    ring = keyring.unlock(VAULT, folder, _fields("keyfile"), pair)
    assert {part: ring(part) for part in key_files.PARTS} == SECRET


def test_keys_that_do_not_do_are_refused_before_anything_is_spent(pair: Path, tmp_path: Path) -> None:
    public = _public(pair.with_name("holder.key.pub"))
    folder = _write(tmp_path, keyring.wrap_for(public, SECRET, VAULT))

    def refused(word: str, key: Path | None = pair) -> None:
        with pytest.raises(VaultRefused, match=word):
            keyring.unlock(VAULT, folder, _fields("keyfile"), key)

    refused("vault aaaaaaaa: needs the private key it was sealed for; next: holdfast open SELECTION --key FILE", None)
    other = tmp_path / "other.key"
    keyring.generate(other)
    refused("is another vault's key, not that of vault aaaaaaaa: nothing was spent", other)
    pair.chmod(0o640)
    refused("the key is open to other users; next: chmod 600")
    pair.chmod(0o600)
    pair.write_bytes(b"")
    refused("the key file is empty")
    pair.unlink()
    refused("the key cannot be read")
    with pytest.raises(VaultRefused, match="has key mode passphrase and takes no key file; next: leave out --key"):
        keyring.unlock(VAULT, folder, _fields("passphrase"), pair)


def test_a_private_key_in_the_project_is_refused(
    home: Path, pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    monkeypatch.chdir(project)
    with pytest.raises(VaultRefused, match="a key must not lie inside the project"):
        keyring.generate(project / "my.key")
    assert list(project.iterdir()) == [project / ".git"]


def test_keys_are_never_overwritten_and_never_mistaken(pair: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        keyring.generate(pair)
    with pytest.raises(InputError, match=r"is the key of private .*name the file that ends in .pub"):
        _public(pair)
    with pytest.raises(InputError, match="cannot be read"):
        _public(pair.with_name("nowhere.pub"))


def test_wrapped_keys_of_another_vault_do_not_unwrap(pair: Path, tmp_path: Path) -> None:
    public = _public(pair.with_name("holder.key.pub"))
    folder = _write(tmp_path, keyring.wrap_for(public, SECRET, "b" * 32))
    with pytest.raises(VaultRefused, match="is another vault's key, not that of vault aaaaaaaa"):
        keyring.unlock(VAULT, folder, _fields("keyfile"), pair)


def test_without_a_terminal_no_passphrase_is_asked() -> None:
    program = "from holdfast.vault.keys import keyring; keyring.draw_keys('0' * 32, 'passphrase')"
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, input="secret\nsecret\n", capture_output=True, text=True, start_new_session=True, check=False
    )
    assert "there is no terminal to type it on" in done.stderr


PROGRAM = """
import sys
from pathlib import Path
from typing import Any
from holdfast.core.files import canonical_json
from holdfast.vault.keys import keyring
from holdfast.vault.keys import key_files
folder = Path(sys.argv[1])
secret, wrapped = keyring.draw_keys("a" * 32, "passphrase")
(folder / keyring.WRAPPED).write_bytes(canonical_json(wrapped))
check = {part: key_files.check_value(key, "a" * 32, part) for part, key in secret.items()}
fields = {"mode": "passphrase", "check": check}
ring = keyring.unlock("a" * 32, folder, fields)
print("SAME" if {part: ring(part) for part in key_files.PARTS} == secret else "OTHER", flush=True)
try:
    keyring.unlock("a" * 32, folder, fields)
except Exception as error:
    print(error, flush=True)
"""


@pytest.mark.slow
def test_a_passphrase_is_typed_on_a_terminal(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, str(tmp_path)])
    output = b""
    for prompt, typed in (
        (b"passphrase of the new vault: ", b"correct horse\n"),
        (b"the same again: ", b"correct horse\n"),
        (b"passphrase of vault aaaaaaaa: ", b"correct horse\n"),
        (b"passphrase of vault aaaaaaaa: ", b"battery staple\n"),
        (b"nothing was spent", b""),
    ):
        piece = b""
        while prompt not in piece:
            piece += os.read(terminal, 1024)
        output += piece
        os.write(terminal, typed)
    os.waitpid(pid, 0)
    assert b"SAME" in output
    assert b"passphrase: is not that of vault aaaaaaaa: nothing was spent" in output
    assert b"correct" not in output


def test_a_full_disk_makes_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(key_files, "write_atomic", fail)
    with pytest.raises(VaultRefused, match=r"the keys could not be written .No space left on device."):
        keygen(tmp_path / "mine", as_json=True)
    assert not list(tmp_path.iterdir())
