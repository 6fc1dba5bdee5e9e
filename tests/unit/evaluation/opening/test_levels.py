"""The answer of an opening, by the policy and the key mode that the vault was sealed with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from holdfast.cli import vault_acts
from holdfast.cli.open import _bound
from holdfast.core.errors import InputError, VaultRefused
from holdfast.data.store import store
from holdfast.evaluation.freeze.freezing import freeze_runs
from holdfast.evaluation.opening.final import disclose, open_vault
from holdfast.evaluation.opening.report import gather
from holdfast.evaluation.opening.result import quotable
from holdfast.vault import lifecycle, registry
from holdfast.vault.keys import keyring
from holdfast.vault.ledger import leaked_bits
from holdfast.vault.verify import verify_home

from ..conftest import FakePredictor, Make, prepare_here


@pytest.fixture
def prepared(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> store.Prepared:
    """Sealed with the settings of the test."""
    settings: dict[str, Any] = getattr(request, "param", {})
    if settings.get("key_mode") == "keyfile":
        settings = settings | {"public_key": str(keyring.generate(tmp_path / "holder.key"))}
    return prepare_here(settings)


def sealed_with(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("prepared", [settings], indirect=True)


def test_a_reopening_tells_one_metric_and_is_no_clean_test(make_run: Make, prepared: store.Prepared) -> None:
    first, second = freeze_runs([make_run()]).selection, freeze_runs([make_run("other", 0.5)]).selection
    open_vault(first)
    before = registry.read_ledger(prepared.vault)[-1].fields["total_bits"]
    opened, _ = open_vault(second, reason="the first had a bug")
    assert opened.heading == "opening 2; not a clean test"
    assert list(opened.metrics) == ["loss"]
    assert "there is a bound for accuracy alone, and none for loss" in _bound(opened)
    assert opened.wear["bits_before"] == before
    assert opened.wear["n_eff"] == pytest.approx(leaked_bits.effective_rows(before, prepared.num_test))
    assert open_vault(second)[0].as_dict() == opened.as_dict() | {"replayed": True}
    assert verify_home() == []


def test_a_vault_that_was_opened_cannot_be_made_new(make_run: Make, prepared: store.Prepared, tmp_path: Path) -> None:
    """Superseded after it was opened, and sealed again: the rows have answered, and the line to quote says so."""
    open_vault(freeze_runs([make_run()]).selection)
    lifecycle.end(prepared.vault, "supersede", "once more")
    again = prepare_here({})
    record = json.loads((make_run("again", 0.9) / "run.json").read_text())
    record["data"] |= {"vault": again.vault, "rows": again.id}
    (tmp_path / "outputs" / "again" / "run.json").write_text(json.dumps(record))
    opened, _ = open_vault(freeze_runs([tmp_path / "outputs" / "again"]).selection)
    assert opened.former == [{"vault": prepared.vault, "openings": 1}]
    line = f"opening 1; not a clean test, rows of former vault {prepared.vault[:8]}, which was opened once"
    assert line in quotable(opened)
    facts = gather(again.vault, opened.selection)
    assert (line in facts["quote"], facts["result"]["is_clean"]) == (True, False)


@sealed_with(policy="batch", k=2)
def test_a_batch_is_clean_at_a_share_of_alpha(make_run: Make, prepared: store.Prepared) -> None:
    selections = [freeze_runs([make_run(f"run{index}", 1 - index / 4)]).selection for index in range(3)]
    for selection in selections[:2]:
        opened, _ = open_vault(selection)
        assert (opened.level, opened.confidence) == ("full", 0.975)
    with pytest.raises(VaultRefused, match="2 of the 2 models of its batch were opened"):
        open_vault(selections[2])
    late = freeze_runs([make_run("late", 0.1)]).selection
    with pytest.raises(VaultRefused, match="was frozen after the vault was opened"):
        open_vault(late)
    assert verify_home() == []


@sealed_with(policy="batch", k=4)
def test_models_that_are_frozen_together_are_compared_with_the_best_by_val(
    make_run: Make, prepared: store.Prepared
) -> None:
    """In whatever order they are named; the rows are decrypted once, and each model is scored once."""
    weights = (0.05, 1.0, 0.4, 0.6)
    runs = [make_run(f"run{index}", weight) for index, weight in enumerate(weights)]
    values = [json.loads((run / "run.json").read_text())["best"]["value"] for run in runs]
    best = f"run{int(np.argmin(values))}"
    assert best != "run0"
    frozen = freeze_runs(runs)
    assert [model["name"] for model in frozen.models] == [f"run{index}" for index in np.argsort(values)]
    opened, _ = open_vault(frozen.selection)
    assert len(FakePredictor.seen) == 1
    assert "the best by val of 4" in quotable(opened)
    assert (opened.models[0]["name"], opened.models[0]["metrics"]) == (best, opened.metrics)
    others = [model["name"] for model in opened.models[1:]]
    compared = [comparison for comparison in opened.comparisons if comparison["metric"] == "accuracy"]
    assert [comparison["models"] for comparison in compared] == [[best, name] for name in others]
    p = [comparison["p"] for comparison in compared]
    expected = np.maximum.accumulate(np.sort(p) * [3, 2, 1]).clip(max=1)
    assert sorted(comparison["p_holm"] for comparison in compared) == pytest.approx(list(expected))
    low, high = (opened.metrics["accuracy"][key] for key in ("low", "high"))
    right = round(opened.metrics["accuracy"]["value"] * prepared.num_test)
    assert (low, high) == pytest.approx(proportion_confint(right, prepared.num_test, 0.05 / 4, "wilson"))
    assert gather(prepared.vault, frozen.selection)["models"][0]["name"] == best
    assert verify_home() == []


def test_code_that_was_not_confined_is_told(
    make_run: Make, prepared: store.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "no Landlock: it could have written to files (not offered here)"
    monkeypatch.setattr(FakePredictor, "not_confined", [words])
    opened, _ = open_vault(freeze_runs([make_run()]).selection)
    assert open_vault(opened.selection)[0].as_dict()["not_confined"] == [words]
    assert f"The model's code was not confined: {words}." in gather(prepared.vault, opened.selection)["limits"]


def test_under_once_a_selection_is_one_model(make_run: Make, prepared: store.Prepared) -> None:
    """Three models printed with unadjusted intervals under "opening 1 of 1" were the attacker's three tests."""
    runs = [make_run(f"run{index}", 1 - index / 5) for index in range(3)]
    with pytest.raises(InputError, match=r"3 models, and its policy is once; .* vault=batch vault.k=3"):
        freeze_runs(runs)
    registry.append(prepared.vault, "freeze", {"models": ["a", "b", "c"]}, selection="5" * 64)
    registry.append(prepared.vault, "open.intent", {"level": "full"}, selection="5" * 64, opening=1)
    assert [finding.kind for finding in verify_home()] == ["selection", "policy"]


@sealed_with(policy="criterion")
def test_a_criterion_is_one_bit(make_run: Make, prepared: store.Prepared) -> None:
    for number, (bound, passed) in enumerate(((0.5, True), (0.999, False))):
        run = make_run(f"run{number}", 1 - number / 8)
        opened, _ = open_vault(freeze_runs([run], f"accuracy > {bound}").selection)
        assert opened.metrics == {}
        assert opened.as_dict()["passed"] is passed
        assert f"answer {number + 1} of its vault, {number} bits told before" in quotable(opened)
    assert registry.read_ledger(prepared.vault)[-1].fields["total_bits"] == 2
    facts = gather(prepared.vault, opened.selection)
    assert (len(facts["openings"]), facts["wear"]["bits_after"]) == (2, 2)
    assert verify_home() == []


@sealed_with(policy="criterion", k=1)
def test_a_criterion_is_asked_so_often_and_no_more(make_run: Make, prepared: store.Prepared) -> None:
    """Bisecting an accuracy by criteria ends after as many answers as the vault was sealed for."""
    run = make_run()
    selections = [freeze_runs([run], f"accuracy > {bound}").selection for bound in (0.5, 0.75)]
    open_vault(selections[0])
    with pytest.raises(VaultRefused, match="has answered 1 times, and answers 1 times"):
        open_vault(selections[1])


@sealed_with(key_mode="keyfile")
def test_only_the_holder_of_the_key_opens(make_run: Make, prepared: store.Prepared, tmp_path: Path) -> None:
    selection = freeze_runs([make_run()]).selection
    assert [path.name for path in (tmp_path / "home" / "keys").iterdir()] == ["fingerprint.key"]
    with pytest.raises(VaultRefused, match="needs the private key it was sealed for"):
        open_vault(selection)
    keyring.generate(tmp_path / "other.key")
    with pytest.raises(VaultRefused, match="is another vault's key"):
        open_vault(selection, key_file=tmp_path / "other.key")
    assert [entry.type for entry in registry.read_ledger(prepared.vault)] == ["seal", "freeze"]
    assert open_vault(selection, key_file=tmp_path / "holder.key")[0].n == prepared.num_test
    assert verify_home() == []


def test_rows_are_disclosed_by_an_act_of_its_own(make_run: Make, prepared: store.Prepared) -> None:
    selection = freeze_runs([make_run()]).selection
    with pytest.raises(VaultRefused, match="was not opened in full"):
        disclose(selection, reason="per class")
    opened, _ = open_vault(selection)
    with pytest.raises(InputError, match="--reason: is empty"):
        disclose(selection, reason=" ")
    with pytest.raises(InputError, match=r"--out: .* cannot be written"):
        vault_acts.disclose(selection, reason="per class", out=Path("/dev/null/file.json"))
    assert registry.read_ledger(prepared.vault)[-1].type != "disclose"
    disclosed = disclose(selection, reason="per class")
    share = np.mean(np.array(disclosed["outcomes"])[:, 0] == np.array(disclosed["targets"]))
    assert share == pytest.approx(opened.metrics["accuracy"]["value"])
    entries = registry.read_ledger(prepared.vault)
    assert [entry.type for entry in entries[-2:]] == ["disclose", "disclose"]
    assert sum(entry.fields["bits"] for entry in entries[-2:]) == prepared.num_test
    assert verify_home() == []


@sealed_with(policy="none")
def test_without_a_vault_nothing_is_frozen(make_run: Make, prepared: store.Prepared) -> None:
    assert (prepared.num_test, len(prepared.x)) == (0, 569)
    with pytest.raises(VaultRefused, match="the run was trained with vault=none"):
        freeze_runs([make_run()])
