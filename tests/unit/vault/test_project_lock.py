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
    project_lock.check_heads(tmp_path, vault)
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
