from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from holdfast.core.errors import VaultRefused
from holdfast.vault.keys import key_files

VAULT, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def check(home: Path) -> str:
    """Two keys on disk; the check value of the one for x."""
    return key_files.check_value(key_files.create_keys(VAULT)["x"], VAULT, "x")


def test_keys_are_two_files_for_this_user_alone(home: Path, check: str) -> None:
    files = sorted((home / "keys").iterdir())
    assert [path.name for path in files] == [f"{VAULT}.x.key", f"{VAULT}.y.key"]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]
    assert (home / "keys").stat().st_mode & 0o777 == 0o700
    key = key_files.read_key(key_files.key_path(VAULT, "x"), VAULT, "x")
    assert len(key) == 32
    assert key_files.check_value(key, VAULT, "x") == check


def _refused(match: str) -> None:
    with pytest.raises(VaultRefused, match=match):
        key_files.read_key(key_files.key_path(VAULT, "x"), VAULT, "x")


def test_a_key_that_others_can_read_is_refused(check: str) -> None:
    path = key_files.key_path(VAULT, "x")
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        _refused("the key is open to other users; next: chmod 600")


def test_empty_missing_and_foreign_keys_are_refused(check: str) -> None:
    path = key_files.key_path(VAULT, "x")
    key_files.create_keys(OTHER)
    path.write_bytes(key_files.key_path(OTHER, "x").read_bytes())
    _refused("is the key of x of vault bbbbbbbb, not of x of vault aaaaaaaa")
    path.write_bytes(key_files.key_path(VAULT, "y").read_bytes())
    _refused("is the key of y of vault aaaaaaaa, not of x")
    for content, word in ((b"", "empty"), (b"\x00" * 140, "empty"), (b"{}", "no key file"), (b"[1]", "no key file")):
        path.write_bytes(content)
        _refused(word)
    path.unlink()
    _refused("the key cannot be read .No such file or directory.; next: put the key back")


def test_a_key_in_the_project_is_refused(tmp_path: Path, check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "inside").mkdir(parents=True)
    (tmp_path / "project" / ".git").mkdir()
    monkeypatch.chdir(tmp_path / "project" / "inside")
    monkeypatch.setenv("HOLDFAST_KEYS", str(tmp_path / "project" / "keys"))
    with pytest.raises(VaultRefused, match="a key must not lie inside the project"):
        key_files.create_keys(OTHER)
    monkeypatch.chdir(tmp_path)


def test_a_key_in_a_folder_that_no_git_knows_is_refused(
    tmp_path: Path, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "below").mkdir(parents=True)
    monkeypatch.setenv("HOLDFAST_KEYS", str(project / "keys"))
    for here, mark in ((project, None), (project / "below", "holdfast.lock")):
        if mark:
            (project / mark).touch()
        monkeypatch.chdir(here)
        with pytest.raises(VaultRefused, match=f"a key must not lie inside the project {project}"):
            key_files.create_keys(OTHER)
    monkeypatch.setenv("HOME", str(project / "below"))
    monkeypatch.chdir(tmp_path)
    key_files.create_keys(OTHER)  # whose own home lies in the working folder is in no project


def test_a_link_to_a_key_and_an_open_folder_are_refused(home: Path, check: str) -> None:
    path = key_files.key_path(VAULT, "x")
    path.rename(home / "moved.key")
    path.symlink_to(home / "moved.key")
    _refused("the key is a link")
    path.unlink()
    (home / "moved.key").rename(path)
    for mode in (0o777, 0o750):
        path.parent.chmod(mode)
        _refused("the folder of keys is open to other users; next: chmod 700")
    path.parent.chmod(0o700)
    key_files.read_key(path, VAULT, "x")


def test_a_key_in_git_is_refused(home: Path, check: str) -> None:
    folder = home / "keys"
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    key_files.read_key(key_files.key_path(VAULT, "x"), VAULT, "x")
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    _refused("the key is tracked by git")


def test_purposes_have_keys_of_their_own(check: str) -> None:
    key = os.urandom(32)
    purposes = ("seal x", "seal y", "check x", "check y", "rows")
    assert len({key_files.derive(key, vault, purpose) for purpose in purposes for vault in (VAULT, OTHER)}) == 10


def test_the_fingerprint_key_is_drawn_once(home: Path) -> None:
    with pytest.raises(VaultRefused, match="the key cannot be read"):
        key_files.fingerprint_key(may_create=False)
    assert key_files.fingerprint_key(may_create=True) == key_files.fingerprint_key(may_create=False)
