from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import InputError, RunFailed, VaultRefused
from holdfast.data.store import store
from holdfast.evaluation import processes
from holdfast.evaluation.freeze.freezing import freeze_runs
from holdfast.evaluation.opening import preflight
from holdfast.evaluation.opening.final import open_vault
from holdfast.evaluation.selections import selection_folder
from holdfast.vault import opening, registry
from holdfast.vault.keys import key_files
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of
from holdfast.vault.verify import verify_home

from ..conftest import FakePredictor, Make, predict_rows

STEPS = ["open.intent", "open.predicted", "open.result"]


def _types(vault: str) -> list[str]:
    return [entry.type for entry in registry.read_ledger(vault)]


@pytest.fixture
def selection(make_run: Make) -> str:
    return freeze_runs([make_run()]).selection


def test_an_opening_is_scored_once_and_then_repeated(selection: str, prepared: store.Prepared) -> None:
    first, changes = open_vault(selection[:8])
    assert changes == []
    assert _types(prepared.vault) == ["seal", "freeze", *STEPS]
    assert (first.n, first.opening, first.replayed) == (prepared.num_test, 1, False)
    names = ["loss", "accuracy", "precision_macro", "recall_macro", "f1_macro", "auroc_macro"]
    assert list(first.metrics) == names
    accuracy = first.metrics["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert accuracy["method"] == "wilson"
    assert first.head == registry.read_ledger(prepared.vault)[-1].sha256
    key_files.remove_keys(prepared.vault)
    second, _ = open_vault(selection)
    assert second.as_dict() == {**first.as_dict(), "replayed": True}
    assert len(FakePredictor.seen) == 1
    assert verify_home() == []


def test_the_score_is_that_of_the_sealed_rows(selection: str, prepared: store.Prepared) -> None:
    from holdfast.data.sources.embedded import breast_cancer as load

    opened, _ = open_vault(selection)
    (x,) = FakePredictor.seen
    rows = load()
    known = {row.tobytes(): target for row, target in zip(rows.x, rows.y.tolist(), strict=True)}
    development = {row.tobytes() for row in np.asarray(prepared.x)}
    assert not development & {row.tobytes() for row in x}
    y = np.array([known[row.tobytes()] for row in x])
    assert opened.metrics["accuracy"]["value"] == pytest.approx(((predict_rows(x) > 0.5) == y).mean())


def test_a_second_selection_is_refused(make_run: Make, selection: str, prepared: store.Prepared) -> None:
    other = freeze_runs([make_run("other", 0.5)]).selection
    open_vault(selection)
    for _ in range(3):
        with pytest.raises(
            VaultRefused, match=f"was opened with selection {selection[:8]}, and its policy is once"
        ) as caught:
            open_vault(other)
    assert caught.value.exit_code == 3
    assert _types(prepared.vault)[3:] == [*STEPS, "refused"]
    assert open_vault(selection)[0].replayed
    assert verify_home() == []


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "step", ["open.intent", "predict", "keep_predictions", "open.predicted", "open_y", "score", "open.result"]
)
def test_after_a_crash_only_the_same_selection_goes_on(  # noqa: PLR0917
    make_run: Make, selection: str, prepared: store.Prepared, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    other = freeze_runs([make_run("other", 0.5)]).selection
    place, name = {
        "predict": (FakePredictor, "predict"),
        "keep_predictions": (opening, "keep"),
        "open_y": (opening, "open_y"),
        "score": (processes, "score"),
    }.get(step, (ledger, "append"))
    real = getattr(place, name)

    def crash(*values: Any, **options: Any) -> Any:
        is_here = (values[1] == step) if name == "append" else options.get("is_sealed", True)
        if not is_here:
            return real(*values, **options)
        if when == "after":
            real(*values, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(place, name, crash)
        with pytest.raises(Killed):
            open_vault(selection)
    is_spent = (step, when) != ("open.intent", "before")
    assert ("open.intent" in _types(prepared.vault)) is is_spent
    if is_spent:
        with pytest.raises(VaultRefused, match="was opened with selection"):
            open_vault(other)
    opened, _ = open_vault(selection)
    assert opened.opening == 1
    assert opened.replayed is ((step, when) == ("open.result", "after"))
    assert [type for type in _types(prepared.vault) if type.startswith("open.")] == STEPS
    assert verify_home() == []


def _kinds() -> set[str]:
    return {finding.kind for finding in verify_home()}


def test_other_predictions_than_the_ledgers_are_noted(
    selection: str, prepared: store.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(processes, "score", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            open_vault(selection)
    kept = folder_of(prepared.vault) / "openings" / f"{selection}.sealed"
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for _ in range(2):
        with pytest.raises(VaultRefused, match="the predictions are not those that the ledger states"):
            open_vault(selection)
    assert _types(prepared.vault)[2:] == ["open.intent", "open.predicted", "open.mismatch"]
    last = registry.read_ledger(prepared.vault)[-1]
    assert (last.selection, last.body["what"]) == (selection, "predictions")
    assert _kinds() == {"file", "mismatch"}
    kept.write_bytes(content)
    assert _kinds() == {"mismatch"}
    assert open_vault(selection)[0].opening == 1
    assert verify_home() == []


def test_other_rows_than_the_ledgers_are_noted(
    selection: str, prepared: store.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("holdfast.vault.sealed_files.RowCommitment.root", lambda self: "0" * 64)
        with pytest.raises(VaultRefused, match="the rows are not those that the ledger states"):
            open_vault(selection)
    assert _types(prepared.vault)[2:] == ["open.intent", "open.predicted", "open.mismatch"]
    body = registry.read_ledger(prepared.vault)[-1].body
    assert body == {"what": "rows", "found": "0" * 64, "stated": registry.read_ledger(prepared.vault)[0].body["rows"]}
    assert [finding.what for finding in verify_home()] == ["the opening found other rows than the ledger states"]
    assert open_vault(selection)[0].n == prepared.num_test


def test_models_that_fail_can_be_opened_again(selection: str, prepared: store.Prepared) -> None:
    FakePredictor.failure = RunFailed("predictor", "predict failed with ValueError")
    with pytest.raises(RunFailed, match="predict failed with ValueError"):
        open_vault(selection)
    assert _types(prepared.vault)[2:] == ["open.intent", "refused"]
    FakePredictor.failure = None
    assert not open_vault(selection)[0].replayed


def _spent_nothing(vault: str) -> None:
    assert _types(vault) == ["seal", "freeze"]
    assert FakePredictor.seen == []


def test_a_changed_file_refuses_the_opening(selection: str, prepared: store.Prepared) -> None:
    checkpoint = selection_folder(prepared.vault, selection) / "models/0/members/0/checkpoints/best.ckpt"
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(VaultRefused, match=r"best.ckpt: was changed since the freeze"):
        open_vault(selection)
    _spent_nothing(prepared.vault)


def test_a_changed_selection_refuses_the_opening(selection: str, prepared: store.Prepared) -> None:
    path = selection_folder(prepared.vault, selection) / "selection.json"
    path.write_bytes(path.read_bytes().replace(b'"min"', b'"max"'))
    with pytest.raises(VaultRefused, match=r"selection.json: was changed since the freeze"):
        open_vault(selection)
    _spent_nothing(prepared.vault)


def test_wrong_keys_and_files_refuse_before_the_intent(selection: str, prepared: store.Prepared) -> None:
    path = key_files.key_path(prepared.vault, "y")
    path.chmod(0o644)
    with pytest.raises(VaultRefused, match="the key is open to other users"):
        open_vault(selection)
    path.chmod(0o600)
    sealed = folder_of(prepared.vault) / "x.sealed"
    sealed.write_bytes(sealed.read_bytes()[:-1])
    with pytest.raises(VaultRefused, match="was changed; next: restore it from a copy"):
        open_vault(selection)
    _spent_nothing(prepared.vault)


def test_a_cut_ledger_refuses(selection: str, prepared: store.Prepared) -> None:
    open_vault(selection)
    for index in (2, 3, 4):
        (folder_of(prepared.vault) / "ledger" / f"{index:08d}.json").unlink()
    with pytest.raises(
        VaultRefused, match=r"entry 4 of its ledger was the head seen last .*, and is gone: cut, or an old copy"
    ):
        open_vault(selection)


@pytest.mark.parametrize("type", ["open.result", "seal"])
def test_a_ledger_out_of_order_refuses(selection: str, prepared: store.Prepared, type: str) -> None:
    registry.append(prepared.vault, type, {}, selection=selection, opening=1)
    with pytest.raises(VaultRefused, match=r"entry 2 of its ledger is (a second seal|open.result without its open)"):
        open_vault(selection)


def test_a_result_that_says_nothing_is_told(selection: str, prepared: store.Prepared) -> None:
    for step in STEPS:
        registry.append(prepared.vault, step, {}, selection=selection, opening=1)
    with pytest.raises(VaultRefused, match=r"entry 4 of its ledger is no result"):
        open_vault(selection)


@pytest.mark.parametrize("kind", ["selection", "key"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(selection: str, prepared: store.Prepared, kind: str) -> None:
    folder = selection_folder(prepared.vault, selection)
    path = folder / "selection.json" if kind == "selection" else key_files.key_path(prepared.vault, "x")
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(VaultRefused, match="is no regular file"):
        open_vault(selection)


def test_models_that_predict_otherwise_refuse(
    selection: str, prepared: store.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FakePredictor.predict
    monkeypatch.setattr(FakePredictor, "predict", lambda self, *v, **o: real(self, *v, **o) + np.float32(0.001))
    with pytest.raises(VaultRefused, match=r"predict the val rows otherwise than when they were frozen \(by 0.001\)"):
        open_vault(selection)
    _spent_nothing(prepared.vault)


def test_a_changed_environment_is_told(
    selection: str, prepared: store.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = preflight.installed_versions
    monkeypatch.setattr(preflight, "installed_versions", lambda: {**real(), "numpy": "9.9"})
    _, changes = open_vault(selection)
    assert changes == [f"numpy: {np.__version__} -> 9.9"]
    assert registry.read_ledger(prepared.vault)[-1].body["changes"] == changes


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_prints_nothing(
    selection: str, prepared: store.Prepared, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    real = ledger._link_new

    def fail(folder: Path, index: int, content: bytes) -> bool:
        if f'"type":"{step}"'.encode() in content:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(folder, index, content)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_link_new", fail)
        with pytest.raises(VaultRefused, match=f"{step} could not be written .No space left on device."):
            open_vault(selection)
    assert (FakePredictor.seen == []) is (step == "open.intent")
    assert "open.result" not in _types(prepared.vault)
    assert open_vault(selection)[0].n == prepared.num_test


def test_too_little_space_is_found_before(
    selection: str, prepared: store.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(VaultRefused, match="free some space: nothing was decrypted"):
        open_vault(selection)
    _spent_nothing(prepared.vault)


def test_an_unknown_selection_is_told(home: Path) -> None:
    with pytest.raises(InputError, match="12345678 is not known"):
        open_vault("12345678")
