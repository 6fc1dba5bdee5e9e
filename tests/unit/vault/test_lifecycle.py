from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core import places
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import canonical_json
from holdfast.vault import archive, known_rows, lifecycle, project_lock, registry
from holdfast.vault.keys import key_files
from holdfast.vault.manifest import folder_of, read_manifest
from holdfast.vault.verify import find_forks, missing_heads, verify_home, verify_path

from .conftest import Make, seal

SELECTION = "5" * 64


@pytest.fixture
def vault(home: Path, rows: Any, make_request: Make) -> str:
    vault = seal(make_request(*rows))
    registry.append(vault, "verify", {})
    return vault


@pytest.mark.parametrize(("how", "status"), [("supersede", "superseded"), ("destroy", "destroyed")])
def test_a_vault_out_of_force_stays_in_the_lineage(
    vault: str, rows: Any, make_request: Make, how: str, status: str
) -> None:
    registry.append(vault, "withdraw", {}, selection=SELECTION)
    lifecycle.end(vault, how, "the split was wrong")
    assert registry.record_of(vault)["status"] == status
    assert registry.read_ledger(vault)[-1].body == {"reason": "the split was wrong"}
    assert not (folder_of(vault) / "x.sealed").exists()
    assert not key_files.key_path(vault, "x").exists()
    assert verify_home() == []
    assert verify_path(folder_of(vault)) == []
    with pytest.raises(VaultRefused, match=f"is {status} already"):
        lifecycle.end(vault, how, "again")
    new = seal(make_request(*rows, slice(10)))
    assert read_manifest(new)["lineage"] == [vault]
    lifecycle.end(new, "destroy", "no longer needed")
    third = seal(make_request(rows[0][:90], rows[1][:90]))
    assert set(registry.record_of(third)["lineage"]) == {vault, new}


def test_a_reason_is_asked_for(vault: str) -> None:
    with pytest.raises(InputError, match="--reason: is empty"):
        lifecycle.end(vault, "destroy", "  ")
    assert registry.is_current(vault)


def test_a_crash_after_the_entry_is_mended(vault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "shred", lambda vault: None)
        lifecycle.end(vault, "destroy", "because")
    assert (folder_of(vault) / "x.sealed").exists()
    with registry.locked():
        lifecycle.recover()
    assert not (folder_of(vault) / "x.sealed").exists()
    assert registry.record_of(vault)["status"] == "destroyed"


def test_an_end_stays_one_whatever_comes_after(
    vault: str, rows: Any, make_request: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry after it, a move to another home, a record that was lost: no ended vault is in force again."""
    new = seal(make_request(*rows, slice(10), replaces=(vault,)))
    lifecycle.end(new, "destroy", "because")
    for ended in (vault, new):
        registry.append(ended, "anchor", {})
        archive.export_vault(ended, tmp_path / f"{ended}.tar", with_keys=True)
    _elsewhere(tmp_path, monkeypatch)
    for ended in (vault, new):
        archive.import_vault(tmp_path / f"{ended}.tar")
    assert registry.record_of(vault)["status"] == "replaced"
    assert registry.record_of(vault)["replaced_by"] == new
    assert registry.record_of(new)["status"] == "destroyed"


def test_no_stored_word_puts_a_vault_out_of_force(vault: str, home: Path, rows: Any, make_request: Make) -> None:
    """The attacker's edit gave a second clean opening; and a forged entry after a freeze stays in the lineage."""
    path = home / "registry" / f"{vault}.json"
    path.write_bytes(canonical_json(json.loads(path.read_bytes()) | {"status": "replaced", "replaced_by": "f" * 32}))
    assert registry.is_current(vault)
    assert [seen.record["vault"] for seen in known_rows.look_up(make_request(*rows).forms)] == [vault]
    manifest = registry.copy_of(vault, "manifest")
    content = manifest.read_bytes()
    manifest.write_bytes(canonical_json(json.loads(content) | {"policy": {"policy": "batch", "k": 9}}))
    with pytest.raises(VaultRefused, match="is not the manifest that the ledger of its vault commits to"):
        registry.records()
    manifest.write_bytes(content)
    registry.append(vault, "freeze", {}, selection=SELECTION)
    registry.append(vault, "supersede", {"by": "f" * 32, "reason": "sealed anew before the first freeze"})
    assert registry.record_of(vault)["status"] == "superseded"
    assert read_manifest(seal(make_request(*rows, slice(10))))["lineage"] == [vault]


def test_another_fingerprint_key_is_told(vault: str, rows: Any, make_request: Make) -> None:
    """With the key of another home no sealed row would be known again."""
    path = places.keys() / "fingerprint.key"
    path.unlink()
    key_files.store_key(path, *key_files.FINGERPRINT)
    with pytest.raises(VaultRefused, match="is another one than the rows"):
        known_rows.look_up(make_request(rows[0][:90], rows[1][:90]).forms)
    digests = np.asarray(make_request(*rows).forms.digests[:])
    assert [finding.kind for finding in verify_home([("rows", digests)])] == ["store"]


# --- moving -----------------------------------------------------------------------------------------------------------


def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "elsewhere"))


def test_a_vault_moves_with_what_it_knows(
    vault: str, rows: Any, make_request: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.export_vault(vault, tmp_path / "vault.tar", with_keys=True)
    assert (tmp_path / "vault.tar").stat().st_mode & 0o777 == 0o600
    secret = key_files.key_path(vault, "x").read_bytes()
    _elsewhere(tmp_path, monkeypatch)
    assert archive.import_vault(tmp_path / "vault.tar") == vault
    assert key_files.key_path(vault, "x").read_bytes() == secret
    assert verify_home() == []
    (seen,) = known_rows.look_up(make_request(rows[0][:90], rows[1][:90]).forms)
    assert (seen.record["vault"], seen.holds_most, seen.has_same_target) == (vault, True, True)
    assert np.flatnonzero(seen.rows).tolist() == np.flatnonzero(seen.certain).tolist() == list(range(20))
    with pytest.raises(VaultRefused, match="is here already"):
        archive.import_vault(tmp_path / "vault.tar")


def test_without_keys_a_vault_moves_sealed(vault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.export_vault(vault, tmp_path / "vault.tar")
    _elsewhere(tmp_path, monkeypatch)
    archive.import_vault(tmp_path / "vault.tar")
    assert not key_files.key_path(vault, "x").exists()


@pytest.mark.parametrize("damage", ["rubbish", "bit", "outside"])
def test_a_damaged_export_is_refused(vault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    path = tmp_path / "vault.tar"
    if damage == "bit":
        sealed = folder_of(vault) / "x.sealed"
        sealed.write_bytes(sealed.read_bytes()[:-1] + b"!")
    archive.export_vault(vault, path)
    if damage == "rubbish":
        path.write_bytes(b"no tar file")
    if damage == "outside":
        subprocess.run(["tar", "-P", "-cf", str(path), f"{tmp_path}/../{tmp_path.name}/home/registry"], check=True)
    _elsewhere(tmp_path, monkeypatch)
    with pytest.raises((InputError, VaultRefused), match=r"is not whole|is no export of a vault"):
        archive.import_vault(path)
    assert not list((tmp_path / "elsewhere" / "vaults").iterdir())


def test_two_copies_that_went_on_have_forked(
    home: Path, vault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.export_vault(vault, tmp_path / "vault.tar")
    _elsewhere(tmp_path, monkeypatch)
    archive.import_vault(tmp_path / "vault.tar")
    other = tmp_path / "elsewhere"
    assert find_forks(home, other) == []
    head = registry.append(vault, "verify", {}).sha256
    assert find_forks(home, other) == [], "a copy that is only behind is no fork"
    assert missing_heads(home, [head]) != []
    assert missing_heads(other, [head[:8]]) == []
    monkeypatch.setenv("HOLDFAST_HOME", str(home))
    registry.append(vault, "verify", {"by": "another"})
    (finding,) = find_forks(home, other)
    assert (finding.kind, finding.where) == ("fork", "entry 2")
    assert verify_path(home) == verify_path(other) == verify_path(folder_of(vault)) == []


def test_a_head_is_committed_to_git(vault: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    with pytest.raises(InputError, match="is in no git repository"):
        project_lock.anchor(vault, project)
    for words in (["init", "-q"], ["config", "user.email", "a@b.c"], ["config", "user.name", "A"]):
        subprocess.run(["git", *words], cwd=project, check=True)
    (project / "other.txt").write_text("not to be committed")
    commit = project_lock.anchor(vault, project)
    shown = subprocess.run(
        ["git", "show", "--stat", "--format=%s", commit], cwd=project, check=True, capture_output=True, text=True
    ).stdout
    entry = registry.read_ledger(vault)[-1]
    assert (entry.type, entry.sha256 in shown) == ("anchor", True)
    assert "holdfast.lock" in shown
    assert "other.txt" not in shown
