from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import InputError, VaultRefused
from holdfast.data.rows import ArrayRows
from holdfast.vault import lifecycle, opening, registry, sealed_files, sealing
from holdfast.vault.keys import key_files
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import FILE_NAME, folder_of, parse_manifest, read_manifest

from .conftest import Make, seal


def _files(home: Path) -> list[str]:
    return sorted(
        str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and not path.name.endswith(".lock")
    )


def test_what_a_vault_consists_of(home: Path, rows: Any, make_request: Make) -> None:
    vault = seal(make_request(*rows))
    inside = ("cells.bin", "development.bin", "fingerprints.bin", "ledger/00000000.json", "manifest.json")
    assert _files(home) == [
        f"keys/{vault}.x.key",
        f"keys/{vault}.y.key",
        "keys/fingerprint.key",
        f"registry/{vault}.cells",
        f"registry/{vault}.fingerprints",
        f"registry/{vault}.json",
        f"registry/{vault}.manifest",
        f"registry/{vault}.targets",
        *(f"vaults/{vault}/{name}" for name in (*inside, "targets.bin", "x.sealed", "y.sealed")),
    ]
    assert not (folder_of(vault) / "groups.bin").exists()


def test_no_plain_test_row_is_on_disk(home: Path, rows: Any, make_request: Make) -> None:
    seal(make_request(*rows))
    whole = b"".join((home / name).read_bytes() for name in _files(home))
    for row, digest in zip(rows[0][:20], make_request(*rows).forms.digests[:20], strict=True):
        assert row.tobytes() not in whole
        assert digest.tobytes() not in whole


def test_the_manifest_says_what_is_sealed(home: Path, rows: Any, make_request: Make) -> None:
    vault = seal(make_request(*rows))
    fields, sha256 = parse_manifest(folder_of(vault) / FILE_NAME)
    assert fields["parts"] == {
        "x": {"form": "array", "rows": 20, "dtype": "<f4", "shape": [5]},
        "y": {"dtype": "<i8", "shape": [20]},
    }
    assert (fields["num_test"], fields["num_development"], fields["name"]) == (20, 80, "points")
    assert fields["policy"] == {"policy": "once", "k": None, "key_mode": "local"}
    assert fields["fingerprints"]["distinct"] == 20
    assert len(fields["sketch"]) == 100, "of test and development rows alike"
    (entry,) = ledger.read(folder_of(vault) / "ledger")
    assert entry.type == "seal"
    assert entry.body["manifest"] == sha256
    known_by = {"cells.bin", "development.bin", "fingerprints.bin", "targets.bin"}
    assert set(entry.body["files"]) == {"x.sealed", "y.sealed"} | known_by
    assert registry.head_of(vault) == {"index": 0, "sha256": entry.sha256}


def test_rows_sealed_anew_take_the_place_of_the_former_vault(home: Path, rows: Any, make_request: Make) -> None:
    old = seal(make_request(*rows))
    new = seal(make_request(*rows, slice(10), replaces=(old,)))
    assert not registry.is_current(old)
    assert registry.is_current(new)
    assert registry.record_of(old)["replaced_by"] == new
    assert read_manifest(new)["replaces"] == [old]
    assert sorted(path.name for path in folder_of(old).iterdir()) == [
        *("cells.bin", "development.bin", "fingerprints.bin", "ledger", "manifest.json", "selections", "targets.bin"),
    ]
    assert not key_files.key_path(old, "x").exists()
    assert ledger.read(folder_of(old) / "ledger")[-1].body["by"] == new


def test_another_target_adds_a_vault(home: Path, rows: Any, make_request: Make) -> None:
    first = seal(make_request(*rows))
    second = seal(make_request(rows[0], 1 - rows[1], shares=(first,)))
    third = seal(make_request(rows[0], np.ones(100, int), shares=(first, second)))
    other = seal(make_request(rows[0] + 1, rows[1]))
    assert all(registry.is_current(vault) for vault in (first, second, third, other))
    for vault in (first, second, third):
        assert set(lifecycle.family_of(vault)) == {first, second, third}
    assert lifecycle.family_of(other) == [other]


def test_rows_of_few_values_are_ambiguous_and_in_no_sketch(home: Path, make_request: Make) -> None:
    bits = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], np.float32)
    x = np.concatenate([np.repeat(bits[:2], 10, axis=0), np.repeat(bits[2:], 10, axis=0)])
    fields = read_manifest(seal(make_request(x, np.zeros(80, int))))
    assert fields["fingerprints"]["distinct"] == fields["fingerprints"]["ambiguous"] == 2
    assert fields["sketch"] == []


def test_groups_are_sealed_in_the_order_of_their_rows(home: Path, rows: Any, make_request: Make) -> None:
    """Their numbers are drawn anew, so that they say nothing; rows of one group are still of one group."""
    x, y = rows
    groups = np.arange(100) // 2 * 7
    vault = seal(make_request(x, y, groups=groups))
    entry = registry.append(vault, "open.intent", {}, selection="5" * 64, opening=1)
    sealed = np.frombuffer(b"".join(opening.open_x(vault, entry, opening.check_sealed(vault))), "<f4").reshape(-1, 5)
    expected = [int(groups[np.flatnonzero((x == row).all(axis=1))[0]]) for row in sealed]
    numbers = opening.group_numbers(vault)
    assert numbers is not None
    assert sorted(set(numbers.tolist())) == list(range(10))
    assert np.array_equal(np.equal.outer(numbers, numbers), np.equal.outer(expected, expected))


def test_a_lost_record_is_entered_again(home: Path, rows: Any, make_request: Make) -> None:
    vault = seal(make_request(*rows))
    before = registry.record_of(vault)
    shutil.rmtree(home / "registry")
    with registry.locked():
        lifecycle.recover()
    assert registry.record_of(vault) == before
    assert registry.copy_of(vault, "targets").read_bytes() == (folder_of(vault) / "targets.bin").read_bytes()


def test_a_lost_fingerprint_key_is_not_made_anew(home: Path, rows: Any, make_request: Make) -> None:
    """With another one the rows that are sealed would be strangers."""
    seal(make_request(*rows))
    (home / "keys" / "fingerprint.key").unlink()
    with pytest.raises(VaultRefused, match=r"fingerprint.key: the key cannot be read"):
        seal(make_request(rows[0] + 1, rows[1]))


class Killed(BaseException):
    """Stands for SIGKILL: nothing that comes after it runs."""


STEPS = {
    "keys": (key_files, "create_keys"),
    "y": (sealed_files, "seal_file"),
    "ledger": (ledger, "append"),
    "rename": (os, "rename"),
    "registry": (lifecycle, "adopt"),
    "end of the former": (registry, "append"),
    "old keys": (key_files, "remove_keys"),
    "head": (registry, "write_head"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_is_mended(  # noqa: PLR0917
    home: Path, rows: Any, make_request: Make, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    old = seal(make_request(*rows))
    place, name = STEPS[step]
    real = getattr(place, name)

    def crash(*values: Any, **options: Any) -> None:
        if when == "after":
            real(*values, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(place, name, crash)
        patch.setattr(shutil, "rmtree", lambda path: None)  # a killed process does not tidy up
        if step != "old keys":
            patch.setattr(key_files, "remove_keys", lambda vault: None)
        with pytest.raises(Killed):
            seal(make_request(*rows, slice(10), replaces=(old,)))
    with registry.locked():
        lifecycle.recover()
        new = [vault for vault in _in_force() if vault != old]
        if not new:  # then nothing has happened, or the former vault has ended
            assert _in_force() == [old] or step in ("end of the former", "rename", "head")
            new = [sealing.seal(make_request(*rows, slice(10), replaces=(old,)))]
    assert _in_force() == new
    assert not (folder_of(old) / "x.sealed").exists()
    assert sorted(path.name for path in (home / "keys").iterdir()) == sorted(
        [f"{new[0]}.x.key", f"{new[0]}.y.key", "fingerprint.key"]
    )
    assert not list((home / "vaults").glob(".*"))
    opening.check_sealed(new[0])


def _in_force() -> list[str]:
    return [record["vault"] for record in registry.in_force()]


def test_a_full_disk_is_said_and_leaves_nothing(
    home: Path, rows: Any, make_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*values: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sealed_files, "seal_file", fail)
        with pytest.raises(VaultRefused, match=r"the test rows could not be sealed .No space left on device."):
            seal(make_request(*rows))
    assert _files(home) == ["keys/fingerprint.key"]
    assert registry.is_current(seal(make_request(*rows)))


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
            make_request(x, y, settings={"policy": "onse"}),
            "vault.policy: 'onse' is not offered; allowed: once, batch, criterion, none; next: did you",
        ),
        (
            make_request(x, y, settings={"key_mode": "paper"}),
            "vault.key_mode: 'paper' is not offered; allowed: local, passphrase, keyfile",
        ),
        (
            make_request(x, y, settings={"polcy": "once"}),
            "vault.polcy: is no setting of a vault; allowed: policy, k, key_mode, public_key",
        ),
        (
            make_request(x, y, pieces=ArrayRows(x, make_request(x, y).forms.digests[::-1], "table").pieces),
            "data: the source changed while it was read",
        ),
    ):
        with pytest.raises(InputError, match=word):
            seal(request)
    assert registry.records() == []
    assert _files(home) == ["keys/fingerprint.key"]
