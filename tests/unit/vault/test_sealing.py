from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import InputError, VaultRefused
from holdfast.vault import lifecycle, opening, registry, stream
from holdfast.vault.keys import key_files
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of, read_manifest
from holdfast.vault.rows.identity import row_digests
from holdfast.vault.sealing import STORED, ensure_sealed

from .conftest import Make

SELECTION = "5" * 64


def _freeze(vault: str) -> None:
    registry.append(vault, "freeze", {}, selection=SELECTION)


def _files(home: Path) -> list[str]:
    return sorted(
        str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and not path.name.endswith(".lock")
    )


def test_sealing_twice_finds_the_vault(home: Path, rows: Any, make_request: Make) -> None:
    first = ensure_sealed(make_request(*rows))
    second = ensure_sealed(make_request(*rows))
    renamed = ensure_sealed(make_request(*rows, source={"name": "another"}))
    order = np.random.default_rng(1).permutation(100)
    shuffled = ensure_sealed(make_request(rows[0][order], rows[1][order], np.flatnonzero(order < 20)))
    assert first.is_new
    assert first.num_test == 20
    for other in (second, renamed, shuffled):
        assert dataclasses.replace(first, is_new=False) == other
    vault = first.vault
    assert _files(home) == [
        f"keys/{vault}.x.key",
        f"keys/{vault}.y.key",
        "keys/fingerprint.key",
        f"registry/{vault}.fingerprints",
        f"registry/{vault}.json",
        *(f"vaults/{vault}/{name}" for name in ("fingerprints.bin", "ledger/00000000.json", "manifest.json")),
        *(f"vaults/{vault}/{name}" for name in ("x.sealed", "y.sealed")),
    ]


def test_no_plain_test_row_is_on_disk(home: Path, rows: Any, make_request: Make) -> None:
    ensure_sealed(make_request(*rows))
    whole = b"".join((home / name).read_bytes() for name in _files(home))
    for row in rows[0][:20]:
        assert row.tobytes() not in whole
    assert make_request(*rows).digests[0].tobytes() not in whole


def test_the_manifest_says_what_is_sealed(home: Path, rows: Any, make_request: Make) -> None:
    sealed = ensure_sealed(make_request(*rows))
    fields, sha256 = read_manifest(folder_of(sealed.vault))
    assert fields["parts"] == {"x": {"dtype": "<f4", "shape": [20, 5]}, "y": {"dtype": "<i8", "shape": [20]}}
    assert (fields["num_test"], fields["num_development"], fields["name"]) == (20, 80, "points")
    assert fields["policy"] == {"policy": "once", "k": None, "key_mode": "local"}
    assert fields["fingerprints"]["distinct"] == 20
    entry = ledger.read(folder_of(sealed.vault) / "ledger")[0]
    assert entry.type == "seal"
    assert entry.body["manifest"] == sha256
    assert entry.sha256 == sealed.head


def test_another_test_part_is_sealed_anew_before_a_freeze(home: Path, rows: Any, make_request: Make) -> None:
    old = ensure_sealed(make_request(*rows))
    new = ensure_sealed(make_request(*rows, slice(10)))
    assert new.is_new
    assert new.replaced == (old.vault,)
    assert not registry.is_current(old.vault)
    assert registry.is_current(new.vault)
    assert registry.record_of(old.vault)["replaced_by"] == new.vault
    assert sorted(path.name for path in folder_of(old.vault).iterdir()) == [
        *("fingerprints.bin", "ledger", "manifest.json", "selections"),
    ]
    assert not key_files.key_path(old.vault, "x").exists()
    assert ledger.read(folder_of(old.vault) / "ledger")[-1].body["by"] == new.vault
    back = ensure_sealed(make_request(*rows))
    assert back.replaced == (new.vault,)
    assert back.vault not in (old.vault, new.vault)


@pytest.mark.parametrize("change", ["test part", "target", "classes", "policy"])
def test_after_a_freeze_nothing_else_is_sealed(home: Path, rows: Any, make_request: Make, change: str) -> None:
    x, y = rows
    sealed = ensure_sealed(make_request(x, y))
    _freeze(sealed.vault)
    request = {
        "test part": make_request(x, y, slice(10)),
        "target": make_request(x, 1 - y),
        "classes": make_request(x, y, class_names=("a", "b")),
        "policy": make_request(x, y, policy={"policy": "criterion"}),
    }[change]
    before = _files(home)
    with pytest.raises(
        VaultRefused, match=rf"vault {sealed.vault[:8]} \(points\): was frozen with another {change} of"
    ):
        ensure_sealed(request)
    assert _files(home) == before
    assert ensure_sealed(make_request(x, y)).vault == sealed.vault


def test_other_columns_of_the_same_rows_are_sealed_anew(home: Path, rows: Any, make_request: Make) -> None:
    x, y = rows
    content = make_request(x, y)
    vaults = []
    for kept in (5, 3, 3):
        stored = {STORED: row_digests(x[:, :kept], kind="table")}
        vaults.append(ensure_sealed(dataclasses.replace(content, x=x[:20, :kept], forms=stored)).vault)
    assert vaults[0] != vaults[1] == vaults[2]


def test_the_tripwire_names_the_vault(home: Path, rows: Any, make_request: Make) -> None:
    x, y = rows
    sealed = ensure_sealed(make_request(x, y))
    more = np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32)
    extended = make_request(np.concatenate([more, x]), np.concatenate([np.zeros(50, int), y]), slice(50))
    name = rf"vault {sealed.vault[:8]} \(points\)"
    what = rf"20 of these rows are sealed in {name}: 20 would be trained on, 0 would be sealed"
    with pytest.raises(VaultRefused, match=what):
        ensure_sealed(extended)
    with pytest.raises(VaultRefused, match=r"0 would be trained on, 20 would be sealed twice.*supersede"):
        ensure_sealed(make_request(x[:90], y[:90]))
    columns_swapped = make_request(x[:90, ::-1], y[:90])
    assert ensure_sealed(columns_swapped).is_new
    assert ensure_sealed(make_request(more, np.zeros(50, int))).is_new


def test_rows_of_a_few_columns_do_not_trip(home: Path, make_request: Make) -> None:
    bits = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], np.float32)
    x = np.concatenate([np.repeat(bits[:2], 10, axis=0), np.repeat(bits[2:], 10, axis=0)])
    first = ensure_sealed(make_request(x, np.zeros(80, int)))
    assert read_manifest(folder_of(first.vault))[0]["fingerprints"]["ambiguous"] == 2
    other = ensure_sealed(make_request(x[:70], np.zeros(70, int), slice(40, 60)))
    assert other.is_new
    assert other.replaced == ()


def test_a_vault_whose_folder_is_gone_is_missed(home: Path, rows: Any, make_request: Make) -> None:
    sealed = ensure_sealed(make_request(*rows))
    shutil.rmtree(folder_of(sealed.vault))
    for request in (make_request(*rows), make_request(*rows, slice(10))):
        with pytest.raises(VaultRefused, match="holds these rows, and its folder is gone"):
            ensure_sealed(request)
    with pytest.raises(VaultRefused, match="20 of these rows are sealed in vault"):
        ensure_sealed(make_request(rows[0][:90], rows[1][:90], slice(80, 90)))


def test_a_lost_record_is_entered_again(home: Path, rows: Any, make_request: Make) -> None:
    sealed = ensure_sealed(make_request(*rows))
    shutil.rmtree(home / "registry")
    assert ensure_sealed(make_request(*rows)).vault == sealed.vault


def test_a_lost_fingerprint_key_does_not_silence_the_tripwire(home: Path, rows: Any, make_request: Make) -> None:
    ensure_sealed(make_request(*rows))
    (home / "keys" / "fingerprint.key").unlink()
    with pytest.raises(VaultRefused, match=r"fingerprint.key: the key cannot be read"):
        ensure_sealed(make_request(rows[0][:90], rows[1][:90]))


class Killed(BaseException):
    """Stands for SIGKILL: nothing that comes after it runs."""


STEPS = {
    "keys": (key_files, "create_keys"),
    "y": (stream, "seal_file"),
    "ledger": (ledger, "append"),
    "rename": (os, "rename"),
    "registry": (lifecycle, "adopt"),
    "retire": (lifecycle, "_retire"),
    "old keys": (key_files, "remove_keys"),
    "old record": (registry, "write_record"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_is_mended(  # noqa: PLR0917
    home: Path, rows: Any, make_request: Make, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    old = ensure_sealed(make_request(*rows))
    place, name = STEPS[step]
    real = getattr(place, name)

    def crash(*values: Any, **options: Any) -> None:
        if when == "after":
            real(*values, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(place, name, crash)
        patch.setattr(shutil, "rmtree", lambda path: None)  # a killed process does not tidy up
        if step not in ("old keys", "retire"):
            patch.setattr(key_files, "remove_keys", lambda vault: None)
        with pytest.raises(Killed):
            ensure_sealed(make_request(*rows, slice(10)))
    new = ensure_sealed(make_request(*rows, slice(10)))
    assert [record["vault"] for record in registry.records() if record["status"] == "sealed"] == [new.vault]
    assert not (folder_of(old.vault) / "x.sealed").exists()
    assert sorted(path.name for path in (home / "keys").iterdir()) == sorted(
        [f"{new.vault}.x.key", f"{new.vault}.y.key", "fingerprint.key"]
    )
    assert not list((home / "vaults").glob(".*"))
    opening.check_sealed(new.vault)


def test_a_full_disk_is_said_and_leaves_nothing(
    home: Path, rows: Any, make_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*values: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stream, "seal_file", fail)
        with pytest.raises(VaultRefused, match=r"the test rows could not be sealed .No space left on device."):
            ensure_sealed(make_request(*rows))
    assert _files(home) == ["keys/fingerprint.key"]
    assert ensure_sealed(make_request(*rows)).is_new


def test_impossible_requests_are_told(home: Path, rows: Any, make_request: Make) -> None:
    x, y = rows
    for request, word in (
        (make_request(x, y, slice(0)), "split: the test part is empty"),
        (make_request(x, y, slice(100)), "split: the development part is empty"),
        (
            make_request(np.concatenate([x, x[:3]]), np.concatenate([y, y[:3]])),
            "3 development rows equal rows of the test",
        ),
        (
            make_request(x, y, policy={"policy": "onse"}),
            "vault.policy: 'onse' is not offered; allowed: once, batch, criterion, none; next: did you",
        ),
        (
            make_request(x, y, policy={"key_mode": "paper"}),
            "vault.key_mode: 'paper' is not offered; allowed: local, passphrase, keyfile",
        ),
        (
            make_request(x, y, policy={"polcy": "once"}),
            "vault.polcy: is no setting of a vault; allowed: policy, k, key_mode, public_key",
        ),
        (
            make_request(x, y, forms={STORED: make_request(x, y).digests[::-1]}),
            "data: the source changed while it was read",
        ),
    ):
        with pytest.raises(InputError, match=word):
            ensure_sealed(request)
    assert registry.records() == []
