from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import VaultRefused
from holdfast.vault import project_lock, registry
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of
from holdfast.vault.verify import locked_heads

from .conftest import Make, seal


def _seal(project: Path, make_request: Make, rows: Any, *test: slice, **changes: Any) -> str:
    request = make_request(*rows, *test, **changes)
    project_lock.refuse_other(list(project_lock.read_lock(project).values()), request.forms)
    vault = seal(request)
    project_lock.note_head(project, vault, "seal", registry.read_ledger(vault)[0])
    return vault


def _freeze(project: Path, vault: str) -> None:
    project_lock.note_head(project, vault, "freeze", registry.append(vault, "freeze", {}, selection="a" * 64))


def test_before_a_freeze_a_fresh_home_seals_anew(
    home: Path, tmp_path: Path, rows: Any, make_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _seal(tmp_path, make_request, rows)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "fresh"))
    second = _seal(tmp_path, make_request, rows, slice(10))
    assert second != first
    assert list(project_lock.read_lock(tmp_path)) == [second]


def test_a_fresh_home_with_most_of_the_rows_is_refused(
    home: Path, tmp_path: Path, rows: Any, make_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = _seal(tmp_path, make_request, rows)
    _freeze(tmp_path, vault)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "fresh"))
    x, y = rows
    extended = (np.concatenate([x + 9, x[50:]]), np.concatenate([y, y[50:]]))
    for content in (rows, (x[:60], y[:60]), extended):
        for test in ((), (slice(10),)):
            with pytest.raises(VaultRefused, match=rf"holdfast.lock: names vault {vault[:8]} for these rows, .*import"):
                _seal(tmp_path, make_request, content, *test)
    assert not (tmp_path / "fresh" / "vaults").exists()
    monkeypatch.setenv("HOLDFAST_HOME", str(home))
    project_lock.refuse_other(list(project_lock.read_lock(tmp_path).values()), make_request(*rows).forms)


def test_a_table_of_few_values_is_refused_by_its_whole_content(
    home: Path, tmp_path: Path, make_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows prove nothing one by one, and one row more makes other content."""
    x = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], np.float32)
    rows = (x, np.arange(8) % 2)
    _freeze(tmp_path, _seal(tmp_path, make_request, rows, slice(2)))
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "fresh"))
    with pytest.raises(VaultRefused, match="names vault"):
        _seal(tmp_path, make_request, rows, slice(2))
    _seal(tmp_path, make_request, (x[:7], rows[1][:7]), slice(2))


def test_an_imported_vault_beside_a_frozen_one_is_refused(
    home: Path, tmp_path: Path, rows: Any, make_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = _seal(tmp_path, make_request, rows)
    _freeze(tmp_path, vault)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "fresh"))
    locked = list(project_lock.read_lock(tmp_path).values())
    mostly = registry.record_of(seal(make_request(rows[0][:80], rows[1][:80])))
    other = registry.record_of(seal(make_request(rows[0] + 1, rows[1])))
    with pytest.raises(VaultRefused, match=f"names vault {vault[:8]}"):
        project_lock.refuse_beside(locked, mostly)
    project_lock.refuse_beside(locked, other)


def test_other_targets_are_the_same_rows(
    home: Path, tmp_path: Path, rows: Any, make_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    _freeze(tmp_path, _seal(tmp_path, make_request, rows))
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "fresh"))
    with pytest.raises(VaultRefused, match="names vault"):
        _seal(tmp_path, make_request, (rows[0], 1 - rows[1]))


def test_a_vault_sealed_anew_takes_the_place_of_the_old_one(
    home: Path, tmp_path: Path, rows: Any, make_request: Make
) -> None:
    old = _seal(tmp_path, make_request, rows)
    new = _seal(tmp_path, make_request, rows, slice(10), replaces=(old,))
    assert list(project_lock.read_lock(tmp_path)) == [new]


def test_a_cut_ledger_is_missed(home: Path, tmp_path: Path, rows: Any, make_request: Make) -> None:
    vault = _seal(tmp_path, make_request, rows)
    entry = registry.append(vault, "verify", {})
    project_lock.note_head(tmp_path, vault, "open", entry)
    project_lock.check_heads(project_lock.read_lock(tmp_path), vault)
    assert locked_heads(home, list(project_lock.read_lock(tmp_path).values())) == []
    (folder_of(vault) / "ledger" / "00000001.json").unlink()
    registry.write_head(vault, ledger.Entry("0" * 64, {"index": 0}))
    (finding,) = locked_heads(home, list(project_lock.read_lock(tmp_path).values()))
    assert finding.what.startswith("was the head that holdfast.lock has (open)")
    shutil.rmtree(home / "vaults")
    (finding,) = locked_heads(home, list(project_lock.read_lock(tmp_path).values()))
    assert finding.what == "has no vault that holdfast.lock names"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "vaults": {}}', '{"version": 2, "vaults": {"a": {}}}']
)
def test_a_damaged_lock_is_told(home: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / project_lock.FILE_NAME).write_text(content)
    with pytest.raises(VaultRefused, match=r"holdfast.lock: cannot be read .*restore it from git"):
        project_lock.read_lock(tmp_path)


def test_the_lock_is_found_from_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / project_lock.FILE_NAME).write_text(json.dumps({"version": 2, "vaults": {}}))
    assert project_lock.find_project(tmp_path / "a" / "b") == tmp_path


def test_the_lock_of_the_project_is_found_from_any_folder(
    home: Path, tmp_path: Path, rows: Any, make_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the folder of a run, and later by the ledger; the lock of a project with another vault stays as it is."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    (project / "outputs" / "run").mkdir(parents=True)
    elsewhere.mkdir()
    vault = _seal(project, make_request, rows)
    _seal(elsewhere, make_request, (rows[0] + 9, rows[1]))
    before = (elsewhere / "holdfast.lock").read_bytes()
    assert project_lock.projects_of(vault, elsewhere) == []
    assert project_lock.projects_of(vault, elsewhere, project / "outputs" / "run") == [project]
    entry = registry.append(vault, "freeze", {"projects": [str(project)]}, selection="a" * 64)
    project_lock.note_heads(project_lock.projects_of(vault, elsewhere), vault, "freeze")
    assert project_lock.read_lock(project)[vault]["heads"]["freeze"]["sha256"] == entry.sha256
    assert (elsewhere / "holdfast.lock").read_bytes() == before
    project_lock.refuse_other_ledger(vault, elsewhere)
    (folder_of(vault) / "ledger" / "00000001.json").unlink()
    sealed = project_lock.read_lock(project)[vault]["heads"]["seal"]
    registry.write_head(vault, ledger.Entry(sealed["sha256"], {"index": 0}))
    with pytest.raises(VaultRefused, match=r"was the head that holdfast.lock has \(freeze\)"):
        project_lock.refuse_other_ledger(vault, project)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("vaults",), []),
        (("vaults", "V"), None),
        (("vaults", "V", "columns"), {"a": 1}),
        (("vaults", "V", "sketch"), [7]),
        (("vaults", "V", "heads"), 1),
        (("vaults", "V", "heads", "seal"), {}),
        (("vaults", "V", "heads", "seal"), None),
        (("vaults", "V", "heads", "seal", "index"), [0]),
        (("vaults", "V", "heads", "seal", "index"), 10**30),
        (("vaults", "V", "heads", "seal", "sha256"), True),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_lock_that_somebody_has_edited_is_refused(
    tmp_path: Path, rows: Any, make_request: Make, place: tuple[str, ...], value: Any
) -> None:
    vault = _seal(tmp_path, make_request, rows)
    path = tmp_path / "holdfast.lock"
    fields = node = json.loads(path.read_text())
    *parents, name = [vault if key == "V" else key for key in place]
    for key in parents:
        node = node[key]
    node[name] = value
    path.write_text(json.dumps(fields))
    with pytest.raises(VaultRefused, match=r"holdfast.lock: cannot be read .*restore it from git"):
        project_lock.refuse_other_ledger(vault, tmp_path)


def test_a_lock_names_each_vault_once(home: Path, tmp_path: Path, rows: Any, make_request: Make) -> None:
    """An entry for a vault that is not here cannot pass for one that is."""
    vault = _seal(tmp_path, make_request, rows)
    fields = json.loads((tmp_path / "holdfast.lock").read_text())
    fields["vaults"]["0" * 32] = {**fields["vaults"].pop(vault), "vault": vault}
    (tmp_path / "holdfast.lock").write_text(json.dumps(fields))
    assert [entry["vault"] for entry in project_lock.read_lock(tmp_path).values()] == ["0" * 32]
