"""What an opening lets out, by the policy and the key mode that the vault was sealed with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import InputError, VaultRefused
from holdfast.data import prepare, store
from holdfast.evaluation.final import disclose, open_vault
from holdfast.evaluation.freezing import freeze_runs
from holdfast.vault import keyring, registry, wear
from holdfast.vault.verify import verify_home

from .conftest import DATA, SPLIT, Make


@pytest.fixture
def prepared(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> store.Prepared:
    """Sealed with the settings of the test."""
    settings: dict[str, Any] = getattr(request, "param", {})
    if settings.get("key_mode") == "keyfile":
        settings = settings | {"public_key": str(keyring.generate(tmp_path / "holder.key"))}
    return store.open_prepared(prepare.answer_request(store.make_request(DATA, SPLIT, settings)))


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
    assert opened.wear["n_eff"] == pytest.approx(wear.effective_rows(before, prepared.num_test))
    assert open_vault(second)[0].as_dict() == opened.as_dict() | {"replayed": True}
    assert verify_home() == []


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
    told = disclose(selection, reason="per class")
    share = np.mean(np.array(told["outcomes"])[:, 0] == np.array(told["targets"]))
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
