"""The answer of an opening, by the policy and the key mode that the vault was sealed with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from holdfast.core.errors import InputError, RunFailed, VaultRefused
from holdfast.data.store import store
from holdfast.evaluation import processes
from holdfast.evaluation.freeze.freezing import freeze_runs
from holdfast.evaluation.opening.citation import quotable
from holdfast.evaluation.opening.disclosing import disclose
from holdfast.evaluation.opening.final import open_together, open_vault
from holdfast.evaluation.opening.report import gather
from holdfast.vault import lifecycle, registry
from holdfast.vault.keys import keyring
from holdfast.vault.ledger import leaked_bits
from holdfast.vault.verify import verify_home

from ..conftest import Make, prepare_here


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
def test_a_batch_that_is_opened_together_is_compared_as_a_whole(make_run: Make, prepared: store.Prepared) -> None:
    runs = [make_run(f"run{index}", 1 - index / 5) for index in range(4)]
    selections = [freeze_runs(runs[:1]).selection, freeze_runs(runs[1:3]).selection, freeze_runs(runs[3:]).selection]
    answers = [opened for opened, _ in open_together(selections)]
    assert [(opened.opening, opened.confidence, opened.replayed) for opened in answers] == [
        (number, 1 - 0.05 / 4, False) for number in (1, 2, 3)
    ]
    types = [entry.type for entry in registry.read_ledger(prepared.vault)][4:]
    assert types == [*["open.intent"] * 3, *["open.predicted"] * 3, *["open.result"] * 3]
    compared = answers[0].comparisons
    assert [comparison["models"] for comparison in compared if comparison["metric"] == "accuracy"] == [
        ["run0", name] for name in ("run1", "run2", "run3")
    ]
    for metric in ("accuracy", "auroc_macro"):
        p = [comparison["p"] for comparison in compared if comparison["metric"] == metric]
        expected = np.maximum.accumulate(np.sort(p) * [3, 2, 1]).clip(max=1)
        assert sorted(
            comparison["p_holm"] for comparison in compared if comparison["metric"] == metric
        ) == pytest.approx(list(expected))
    assert answers[1].comparisons == answers[2].comparisons == []
    again = [opened.as_dict() for opened, _ in open_together(selections)]
    assert again == [opened.as_dict() | {"replayed": True} for opened in answers]
    low, high = (answers[0].metrics["accuracy"][key] for key in ("low", "high"))
    right = round(answers[0].metrics["accuracy"]["value"] * prepared.num_test)
    assert (low, high) == pytest.approx(proportion_confint(right, prepared.num_test, 0.05 / 4, "wilson"))
    assert verify_home() == []


@sealed_with(policy="batch", k=3)
def test_a_batch_that_is_too_large_or_interrupted(
    make_run: Make, prepared: store.Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    selections = [freeze_runs([make_run(f"run{index}", 1 - index / 5)]).selection for index in range(4)]
    with pytest.raises(VaultRefused, match="3 of the 3 models of its batch were opened, and selection"):
        open_together(selections)
    with pytest.raises(InputError, match="one is named twice"):
        open_together([selections[0], selections[0][:8]])
    assert "open.intent" not in [entry.type for entry in registry.read_ledger(prepared.vault)]
    real, calls = processes.score, []

    def fails_once(*values: Any, **options: Any) -> Any:
        calls.append(values)
        if len(calls) == 3:
            raise RunFailed("scorer", "died")
        return real(*values, **options)

    monkeypatch.setattr(processes, "score", fails_once)
    with pytest.raises(RunFailed):
        open_together(selections[:3])
    answers = [opened for opened, _ in open_together(selections[:3])]
    assert [(opened.opening, opened.replayed) for opened in answers] == [(1, True), (2, False), (3, False)]
    assert len(answers[0].comparisons) == 4
    assert verify_home() == []


def test_two_selections_of_a_vault_for_one(make_run: Make, prepared: store.Prepared) -> None:
    selections = [freeze_runs([make_run(f"run{index}", 1 - index / 5)]).selection for index in range(2)]
    with pytest.raises(VaultRefused, match="its policy is once"):
        open_together(selections)
    assert "open.intent" not in [entry.type for entry in registry.read_ledger(prepared.vault)]


def test_exact_intervals_when_asked_for(make_run: Make, prepared: store.Prepared) -> None:
    with pytest.raises(InputError, match="--intervals: is 'clopper'; allowed: wilson, clopper-pearson"):
        freeze_runs([make_run("none")], proportion="clopper")
    opened, _ = open_vault(freeze_runs([make_run()], proportion="clopper-pearson").selection)
    accuracy = opened.metrics["accuracy"]
    right = round(accuracy["value"] * prepared.num_test)
    expected = proportion_confint(right, prepared.num_test, 0.05, "beta")
    assert (accuracy["low"], accuracy["high"]) == pytest.approx(expected)
    assert accuracy["method"] == "clopper-pearson"


@sealed_with(policy="criterion")
def test_a_criterion_is_one_bit(make_run: Make, prepared: store.Prepared) -> None:
    for number, (bound, passed) in enumerate(((0.5, True), (0.999, False))):
        run = make_run(f"run{number}", 1 - number / 8)
        opened, _ = open_vault(freeze_runs([run], f"accuracy > {bound}").selection)
        assert opened.metrics == {}
        assert opened.as_dict()["passed"] is passed
    assert registry.read_ledger(prepared.vault)[-1].fields["total_bits"] == 2
    assert verify_home() == []


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
