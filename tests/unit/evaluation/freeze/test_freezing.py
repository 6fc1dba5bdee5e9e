from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import sha256_file
from holdfast.data.store import store, worker
from holdfast.ensembles import TopK
from holdfast.evaluation.freeze import freezing, validation
from holdfast.evaluation.freeze.freezing import freeze_runs
from holdfast.evaluation.selections import find_selection, read_selection, run_folder, selection_folder
from holdfast.experiment.run import write_report as write_run_report
from holdfast.training import checkpoints
from holdfast.training.restore import load_model
from holdfast.vault import registry
from holdfast.vault.verify import verify_home

from ..conftest import DATA, SPLIT, Make


def test_a_selection_is_the_hash_of_what_it_says(make_run: Make, prepared: store.Prepared) -> None:
    frozen = freeze_runs([make_run()])
    folder = selection_folder(prepared.vault, frozen.selection)
    assert sha256_file(folder / "selection.json") == frozen.selection
    fields = read_selection(prepared.vault, frozen.selection)
    names = ["models/0/members/0/checkpoints/best.ckpt", "models/0/members/0/run.json", "models/0/val_predictions.npy"]
    assert sorted(fields["files"]) == names
    assert (fields["primary_metric"], fields["models"][0]["selection_rule"]["mode"]) == ("loss", "min")
    entries = registry.read_ledger(prepared.vault)
    assert [entry.type for entry in entries] == ["seal", "freeze"]
    assert fields["ledger_head"] == entries[0].sha256
    assert verify_home() == []


def test_freezing_again_finds_the_selection(make_run: Make) -> None:
    run = make_run()
    first, second = freeze_runs([run]), freeze_runs([run])
    assert first.is_new
    assert not second.is_new
    assert first.selection == second.selection
    assert freeze_runs([make_run("other", 0.5)]).selection != first.selection


def test_selections_are_found_by_eight_digits(make_run: Make, prepared: store.Prepared) -> None:
    selection = freeze_runs([make_run()]).selection
    assert find_selection(selection[:8]) == (prepared.vault, selection)
    for prefix, word in ((selection[:7], "is no selection; allowed: 8 to 64 hex digits"), ("0" * 8, "is not known")):
        with pytest.raises(InputError, match=word):
            find_selection(prefix)


def test_a_selection_stands_for_the_run_that_it_has_chosen(make_run: Make) -> None:
    run = make_run()
    selection = freeze_runs([run]).selection
    frozen = run_folder(Path(selection[:8]))
    assert frozen != run
    assert (frozen / "run.json").read_bytes() == (run / "run.json").read_bytes()
    assert run_folder(run) == run
    assert run_folder(Path("runs/nowhere")) == Path("runs/nowhere")
    (frozen / "run.json").write_text("{}")
    with pytest.raises(VaultRefused, match="was changed since the freeze"):
        run_folder(Path(selection[:8]))


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_only_completed_runs_are_frozen(make_run: Make, status: str) -> None:
    with pytest.raises(InputError, match=f"is {status}; allowed: completed"):
        freeze_runs([make_run(status=status)])


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"debug": {"preset": "limit"}}, r"was a trial \(debug=limit\)"),
        ({"loss": {"_target_": "holdfast.losses.reconstruction"}}, "gives rows back and predicts nothing"),
    ],
)
def test_runs_that_predict_nothing_are_neither_frozen_nor_averaged(
    make_run: Make, config: dict[str, Any], words: str
) -> None:
    runs = [make_run("one"), make_run("other", config=config)]
    with pytest.raises(InputError, match=words):
        freeze_runs([runs[1]])
    with pytest.raises(InputError, match=words):
        TopK([str(run) for run in runs]).check(SimpleNamespace(config=OmegaConf.create({"monitor": "val/loss"})))


def test_a_folder_that_is_no_run_is_told(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run"):
        freeze_runs([tmp_path])


def test_a_run_of_a_former_vault_is_refused(make_run: Make, prepared: store.Prepared) -> None:
    run = make_run()
    new = worker.answer_request(store.make_request(DATA, {**SPLIT, "fractions": [0.8, 0.1, 0.1]}, {}))
    message = f"belongs to the former vault {prepared.vault[:8]}: its rows were sealed anew as {new[:8]}"
    with pytest.raises(VaultRefused, match=message):
        freeze_runs([run])


def test_a_run_of_another_home_is_refused(make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    with monkeypatch.context() as patch:
        patch.setenv("HOLDFAST_HOME", str(tmp_path / "elsewhere"))
        with pytest.raises(VaultRefused, match="which is not in this HOLDFAST_HOME"):
            freeze_runs([run])


def test_after_a_freeze_another_split_is_refused(make_run: Make) -> None:
    freeze_runs([make_run()])
    with pytest.raises(VaultRefused, match="was frozen with another test part"):
        worker.answer_request(store.make_request(DATA, {**SPLIT, "fractions": [0.8, 0.1, 0.1]}, {}))


@pytest.mark.parametrize("metric", ["val/accuracy", "val/loss", "val/auroc_macro"])
def test_a_score_that_the_files_do_not_give_is_refused(make_run: Make, metric: str) -> None:
    run = make_run()
    record = json.loads((run / "run.json").read_text())
    record["best"]["metrics"][metric] += 0.01
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(
        VaultRefused, match=rf"{metric}: was 0\.\d+ when the run was recorded, and is 0\.\d+ from its files"
    ):
        freeze_runs([run])


def test_a_changed_checkpoint_is_refused(make_run: Make) -> None:
    run = make_run()
    (run / "checkpoints" / "best.ckpt").write_text("0.5")
    with pytest.raises(VaultRefused, match="when the run was recorded"):
        freeze_runs([run])


def test_files_that_are_missing_or_leave_the_run_are_refused(make_run: Make, tmp_path: Path) -> None:
    run = make_run()
    checkpoint = run / "checkpoints" / "best.ckpt"
    checkpoint.rename(tmp_path / "elsewhere.ckpt")
    for reader in (lambda: freeze_runs([run]), lambda: load_model(run), lambda: write_run_report(run)):
        with pytest.raises(InputError, match=r"best.ckpt: there is no such checkpoint; next: restore it") as raised:
            reader()
        assert raised.value.exit_code == 2
    os.symlink(tmp_path / "elsewhere.ckpt", checkpoint)
    with pytest.raises(VaultRefused, match="leaves the run's folder"):
        freeze_runs([run])


@pytest.mark.parametrize(
    ("group", "key", "value", "words"),
    [
        ("config", "split", None, "its record says nothing of its split"),
        ("config", "split", 1e308, "is no whole record: config.split is 1e.308; next: restore the file"),
        ("config", "loss", [], r"is no whole record: config.loss is \[\]"),
        ("config", "loss", {}, "its record says nothing of its loss"),
        ("config", "debug", -1, "is no whole record: config.debug is -1"),
        ("data", "subset", 1e308, "data.subset: is 1e.308"),
        ("data", "dtype", "9" * 300, "has rows of the unknown type '99999"),
        ("data", "name", "\ud800", "cannot be read"),
    ],
)
def test_an_odd_record_is_told(make_run: Make, group: str, key: str, value: Any, words: str) -> None:
    run = make_run()
    record = json.loads((run / "run.json").read_text())
    record[group][key] = value
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=words):
        freeze_runs([run])


def test_nothing_is_left_of_a_freeze_that_failed(make_run: Make, prepared: store.Prepared) -> None:
    run = make_run()
    (run / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(InputError):
        freeze_runs([run])
    assert list(selection_folder(prepared.vault, "x").parent.iterdir()) == []
    assert len(registry.read_ledger(prepared.vault)) == 1


def _ensemble(make_run: Make) -> Path:
    runs = [make_run("one", 1.0), make_run("two", 0.8)]
    records = [json.loads((run / "run.json").read_text()) for run in runs]
    members = [
        {
            **{"run": str(run), "checkpoint": "checkpoints/best.ckpt", "weight": 0.5},
            "sha256": sha256_file(run / "checkpoints" / "best.ckpt"),
        }
        for run in runs
    ]
    metrics = {k: v for k, v in records[0]["best"]["metrics"].items() if k == "val/auroc_macro"}
    best = {**records[0]["best"], "checkpoint": None, "metrics": metrics}
    # Its own config may name any split: the members' decides.
    return make_run(
        "both",
        kind="ensemble",
        ensemble={"members": members, "combine": "probabilities", "temperature": 1.0, "out_of_fold": False},
        best=best,
        config={"split": None, "loss": {}},
    )


def test_an_ensemble_is_frozen_with_its_members(make_run: Make, prepared: store.Prepared) -> None:
    run = _ensemble(make_run)
    record = json.loads((run / "run.json").read_text())
    with pytest.raises(VaultRefused, match="val/loss: was undefined when the run was recorded"):
        freeze_runs([run])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "refuse_other_scores", lambda *values: None)
        frozen = freeze_runs([run])
    fields = read_selection(prepared.vault, frozen.selection)
    assert [member["weight"] for member in fields["models"][0]["members"]] == [0.5, 0.5]
    assert fields["split"] == SPLIT
    assert fields["models"][0]["has_loss"]
    checkpoint = Path(record["ensemble"]["members"][1]["run"]) / "checkpoints" / "best.ckpt"
    checkpoint.write_text("0.80")
    with pytest.raises(VaultRefused, match="was changed since the ensemble was made"):
        freeze_runs([run])


@pytest.mark.parametrize(("field", "value"), [("monitor", "val/accuracy"), ("mode", "max")])
def test_the_monitor_of_an_ensemble_is_that_of_its_members(make_run: Make, field: str, value: str) -> None:
    """It stands in run.json alone, which anybody can edit; theirs are in their checkpoints."""
    run = _ensemble(make_run)
    record = json.loads((run / "run.json").read_text())
    record["best"][field] = value
    (run / "run.json").write_text(json.dumps(record))
    words = rf"one: was chosen by the {field} 'val/loss|min', and .*both by '{value}'; next: restore run.json"
    with pytest.raises(VaultRefused, match=words):
        freeze_runs([run])


def test_a_member_that_was_trained_on_test_rows_is_refused(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained with vault=none; the attacker wrote the vault into its run.json."""
    run, real = _ensemble(make_run), checkpoints.read_checkpoint

    def read(path: Path) -> dict[str, Any]:
        content = real(path)
        if "members/1/" in str(path):
            content["holdfast"]["data"] |= {"vault": "none-" + "0" * 27}
        return content

    monkeypatch.setattr(checkpoints, "read_checkpoint", read)
    with pytest.raises(VaultRefused, match=r"two/checkpoints/best.ckpt: data.vault is .* in run.json, and 'none-0"):
        freeze_runs([run])


@pytest.mark.parametrize("prepared", [{"policy": "batch", "k": 2}], indirect=True)
def test_several_models_are_frozen_together(make_run: Make, prepared: store.Prepared) -> None:
    runs = [make_run("one"), make_run("two", 0.8)]
    frozen = freeze_runs(runs, "accuracy>0.9")
    fields = read_selection(prepared.vault, frozen.selection)
    assert [model["name"] for model in fields["models"]] == ["two", "one"], "the best by val is named first"
    assert [model["members"][0]["folder"] for model in fields["models"]] == ["models/0/members/0", "models/1/members/0"]
    assert fields["models"][1]["val_predictions"] == "models/1/val_predictions.npy"
    assert set(fields["files"]) >= {"models/1/members/0/checkpoints/best.ckpt", "models/1/val_predictions.npy"}
    assert fields["criterion"] == frozen.criterion == "accuracy > 0.9"
    assert frozen.val == fields["models"][0]["val"]
    assert registry.read_ledger(prepared.vault)[-1].body["models"] == ["two", "one"]
    assert freeze_runs(runs, "accuracy > 0.9").selection == frozen.selection
    assert freeze_runs(runs[::-1], "accuracy > 0.9").selection == frozen.selection
    assert verify_home() == []


def test_models_that_cannot_be_compared_are_not_frozen_together(make_run: Make) -> None:
    run = make_run()
    with pytest.raises(InputError, match="names a run twice"):
        freeze_runs([run, run / "."])
    data = json.loads((run / "run.json").read_text())["data"]
    other = make_run("other", data={**data, "val_sha256": "0" * 64})
    with pytest.raises(InputError, match="has other val rows: val scores cannot be compared"):
        freeze_runs([run, other])
    with pytest.raises(InputError, match="names 'acc', which is no metric here"):
        freeze_runs([run], "acc > 0.9")


@pytest.mark.parametrize(
    ("policy", "num_models", "criterion", "words"),
    [
        ({"policy": "criterion"}, 1, None, "answers pass or fail, and there is no criterion"),
        ({"policy": "criterion"}, 2, "accuracy > 0.9", "2 models, and its policy is criterion; allowed: one"),
        ({"policy": "batch", "k": 2}, 3, None, "3 models; allowed: up to 2, as it was sealed for"),
    ],
)
def test_the_vaults_policy_bounds_a_freeze(  # noqa: PLR0917
    make_run: Make,
    monkeypatch: pytest.MonkeyPatch,
    policy: dict[str, Any],
    num_models: int,
    criterion: str | None,
    words: str,
) -> None:
    runs = [make_run(f"run{index}", 1.0 + 0.1 * index) for index in range(num_models)]
    monkeypatch.setattr(freezing, "read_manifest", lambda vault: {"policy": policy})
    with pytest.raises(InputError, match=words):
        freeze_runs(runs, criterion)


def test_a_saturated_run_cannot_claim_another_loss(make_run: Make) -> None:
    run = make_run(weight=40.0)
    record = json.loads((run / "run.json").read_text())
    x = record["best"]["metrics"]["val/loss"]
    with pytest.raises(VaultRefused, match="val/loss: was"):
        freeze_runs([run])  # its record has the loss of clipped probabilities, not of its logits
    assert x > 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a home and a run of one epoch on digits, as a user has it."""
    folder = tmp_path_factory.mktemp("trained")
    root = Path(__file__).resolve().parents[4]
    environment = {
        **os.environ,
        "HOLDFAST_HOME": str(folder.with_name(f"{folder.name}-home")),
        "PYTHONPATH": str(root / "src"),
    }
    command = [
        sys.executable,
        str(root / "train.py"),
        "max_epochs=1",
        "trainer=cpu",
        "hydra.run.dir=run",
        "logger=none",
    ]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return folder


def _changed(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any) -> Path:
    """A copy of the run whose checkpoint was changed."""
    import torch

    monkeypatch.setenv("HOLDFAST_HOME", str(trained.with_name(f"{trained.name}-home")))
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    checkpoint = run / json.loads((run / "run.json").read_text())["best"]["checkpoint"]
    content = torch.load(checkpoint, weights_only=True)
    change(content)
    torch.save(content, checkpoint)
    return run


@pytest.mark.slow
def test_a_run_that_was_not_touched_is_frozen(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _changed(trained, tmp_path, monkeypatch, lambda content: None)
    assert freeze_runs([run]).is_new


@pytest.mark.slow
@pytest.mark.parametrize("place", ["callbacks", "state"])
def test_sealed_rows_in_a_checkpoint_are_found(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    import torch

    from holdfast.data.sources.embedded import digits as load

    monkeypatch.setenv("HOLDFAST_HOME", str(trained.with_name(f"{trained.name}-home")))
    place_of_rows = json.loads((trained / "run" / "run.json").read_text())["data"]["rows"]
    known = {row.tobytes() for row in np.asarray(store.open_prepared(place_of_rows).x)}
    sealed = np.stack([row for row in load().x if row.tobytes() not in known])[:5]

    def smuggle(content: dict[str, Any]) -> None:
        if place == "callbacks":
            content["callbacks"]["Mine"] = {"hardest": sealed[:1].astype(float).tolist()}
        else:
            state, scale = content["state_dict"], content["state_dict"]
            rows = (torch.from_numpy(sealed[..., 0]).float() - scale["transform.mean"]) / scale["transform.std"]
            weight = state["model.1.weight"]
            weight[:5] = rows.reshape(5, -1)

    run = _changed(trained, tmp_path, monkeypatch, smuggle)
    with pytest.raises(VaultRefused, match=r"holds sealed test rows in (callbacks\.Mine|state_dict\.model\.1\.weight)"):
        freeze_runs([run])


@pytest.mark.slow
def test_statistics_of_all_rows_are_refused(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shift(content: dict[str, Any]) -> None:
        content["state_dict"]["transform.mean"] *= 1.0001

    run = _changed(trained, tmp_path, monkeypatch, shift)
    with pytest.raises(VaultRefused, match=r"transform\.mean is not what the train rows alone give"):
        freeze_runs([run])


@pytest.mark.slow
@pytest.mark.parametrize("field", ["monitor", "pretrained"])
def test_an_edited_record_is_told(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """Another monitor than the epoch was chosen by, or no word of the weights that the run began with."""

    def pretrain(content: dict[str, Any]) -> None:
        if field == "pretrained":
            content["holdfast"]["pretrained"] = [{"sha256": "0" * 64, "run": "other", "vault": "1" * 32, "rows": "2"}]

    run = _changed(trained, tmp_path, monkeypatch, pretrain)
    record = json.loads((run / "run.json").read_text())
    if field == "monitor":
        record["best"]["monitor"] = "val/accuracy"
        record["best"]["mode"] = "max"
        record["best"]["value"] = record["best"]["metrics"]["val/accuracy"]
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(VaultRefused, match=rf"{field} is .* in run.json, and .* in the checkpoint"):
        freeze_runs([run])
