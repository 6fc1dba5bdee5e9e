"""Attacks 10, 11 and 16: a vault is deleted, copied, put back, or its ledger is rewritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .conftest import Frozen, Run, answer

pytestmark = pytest.mark.slow


def test_a_deleted_vault_is_not_sealed_again(frozen: Frozen, train: Run, holdfast: Run, tmp_path: Path) -> None:
    (selection,) = frozen(1)
    answer(holdfast("open", selection, "--json"))
    shutil.rmtree(tmp_path / "home" / "vaults")
    done = train("hydra.run.dir=again")
    assert done.returncode == 3, done.stderr
    assert "its folder is gone" in done.stderr


def test_a_former_vault_put_back_is_noticed(frozen: Frozen, holdfast: Run, tmp_path: Path) -> None:
    selections = frozen(2)
    home = tmp_path / "home"
    shutil.copytree(home / "vaults", tmp_path / "copy")
    answer(holdfast("open", selections[0], "--json"))
    shutil.rmtree(home / "vaults")
    shutil.copytree(tmp_path / "copy", home / "vaults")
    done = holdfast("open", selections[1])
    assert done.returncode == 3
    assert "entry 5 of its ledger was the head seen last" in done.stderr
    assert holdfast("vault", "verify").returncode == 3


def test_a_deleted_home_gives_no_second_first_opening(
    frozen: Frozen, train: Run, holdfast: Run, tmp_path: Path
) -> None:
    answer(holdfast("open", frozen(1)[0], "--json"))
    shutil.rmtree(tmp_path / "home")
    for vault in ("once", "none"):
        done = train("hydra.run.dir=again", "seed=1", f"vault={vault}")
        assert done.returncode == 3, done.stderr
        assert "holdfast.lock: names vault" in done.stderr
        assert not list((tmp_path / "home" / "vaults").glob("*"))


def test_two_copies_that_were_both_opened_have_forked(frozen: Frozen, holdfast: Run, tmp_path: Path) -> None:
    selections = frozen(2)
    home, copy = tmp_path / "home", tmp_path / "copy"
    shutil.copytree(home, copy)
    shutil.copytree(tmp_path / "project", tmp_path / "project2")
    answer(holdfast("open", selections[0], "--json"))
    # Each copy by itself is whole: only beside the other, or a head, does the second opening show.
    second = answer(holdfast("open", selections[1], "--json", HOLDFAST_HOME=str(copy), cwd=tmp_path / "project2"))
    assert second["opening"] == 1
    done = holdfast("vault", "verify", str(home), "--against", str(copy), "--json")
    assert done.returncode == 3
    assert [finding["kind"] for finding in json.loads(done.stdout)["findings"]] == ["fork"]
    assert holdfast("vault", "verify", str(home), "--head", second["head"]).returncode == 3
    assert holdfast("open", selections[1], HOLDFAST_HOME=str(copy)).returncode == 3, "the project's lock knows better"
