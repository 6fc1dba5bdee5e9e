from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import VaultRefused
from holdfast.vault import opening, registry
from holdfast.vault.keys import key_files
from holdfast.vault.keys.keyring import Ring, unlock
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of, read_manifest

from .conftest import Make, seal

SELECTION = "5" * 64


@pytest.fixture
def vault(home: Path, rows: Any, make_request: Make) -> str:
    return seal(make_request(*rows))


def _ring(vault: str) -> Ring:
    fields = read_manifest(vault)
    return unlock(vault, folder_of(vault), fields["keys"])


def _enter(vault: str, type: str, **body: Any) -> ledger.Entry:
    return registry.append(vault, type, body, selection=SELECTION, opening=1)


def test_rows_come_back_as_they_were_sealed(vault: str, rows: Any) -> None:
    intent = _enter(vault, "open.intent")
    x = np.frombuffer(b"".join(opening.open_x(vault, intent, _ring(vault))), "<f4").reshape(20, 5)
    y = opening.open_y(vault, _enter(vault, "open.predicted"), _ring(vault))
    sealed = {(row.tobytes(), target) for row, target in zip(x, y.tolist(), strict=True)}
    assert sealed == {(row.tobytes(), target) for row, target in zip(rows[0][:20], rows[1][:20].tolist(), strict=True)}
    assert not np.array_equal(x, rows[0][:20])


def test_nothing_opens_without_its_entry_in_the_ledger(vault: str) -> None:
    intent = _enter(vault, "open.intent")
    first = ledger.read_entry(folder_of(vault) / "ledger", 0)
    made_up = ledger.Entry("0" * 64, intent.fields)
    for entry in (first, made_up):
        with pytest.raises(VaultRefused, match=r"nothing is decrypted without open.intent in its ledger"):
            opening.open_x(vault, entry, _ring(vault))
    with pytest.raises(VaultRefused, match=r"nothing is decrypted without open.predicted in its ledger"):
        opening.open_y(vault, intent, _ring(vault))


def test_x_and_y_swapped_are_refused(vault: str) -> None:
    folder = folder_of(vault)
    intent = _enter(vault, "open.intent")
    x, y = (folder / "x.sealed").read_bytes(), (folder / "y.sealed").read_bytes()
    (folder / "x.sealed").write_bytes(y)
    (folder / "y.sealed").write_bytes(x)
    with pytest.raises(VaultRefused, match=r"x.sealed: was changed; next: restore it from a copy"):
        opening.check_sealed(vault)
    with pytest.raises(VaultRefused, match="chunk 0 is not what was sealed for this vault and part"):
        list(opening.open_x(vault, intent, _ring(vault)))


def test_another_vaults_file_is_refused(vault: str, rows: Any, make_request: Make) -> None:
    other = seal(make_request(rows[0] + 1, rows[1]))
    intent = _enter(vault, "open.intent")
    (folder_of(vault) / "x.sealed").write_bytes((folder_of(other) / "x.sealed").read_bytes())
    with pytest.raises(VaultRefused, match="chunk 0 is not what was sealed"):
        list(opening.open_x(vault, intent, _ring(vault)))


def test_a_wrong_key_is_found_before_anything_is_spent(vault: str, rows: Any, make_request: Make) -> None:
    opening.check_sealed(vault)
    key_files.key_path(vault, "y").chmod(0o644)
    with pytest.raises(VaultRefused, match="the key is open to other users"):
        opening.check_sealed(vault)
    key_files.remove_keys(vault)
    key_files.create_keys(vault)
    with pytest.raises(VaultRefused, match=r"is the wrong key for vault .*: nothing was spent"):
        opening.check_sealed(vault)


def test_rows_that_were_not_committed_to_are_refused(vault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    predicted = _enter(vault, "open.predicted")
    monkeypatch.setattr("holdfast.vault.sealed_files.SALT_BYTES", 8)
    with pytest.raises(VaultRefused, match="the rows are not those that the ledger states"):
        opening.open_y(vault, predicted, _ring(vault))


def test_predictions_are_kept_encrypted(vault: str) -> None:
    predictions = np.random.default_rng(0).random((20, 3), np.float32)
    body = opening.keep(vault, _enter(vault, "open.intent"), "predictions", predictions, _ring(vault))
    predicted = _enter(vault, "open.predicted", **body)
    assert np.array_equal(opening.kept(vault, predicted, "predictions", _ring(vault)), predictions)
    path = folder_of(vault) / "openings" / f"{SELECTION}.sealed"
    assert predictions.tobytes()[:32] not in path.read_bytes()
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(VaultRefused, match="the predictions are not those that the ledger states"):
        opening.kept(vault, predicted, "predictions", _ring(vault))
