from __future__ import annotations

from typing import Any

import pytest

from holdfast.core.errors import InputError, VaultRefused
from holdfast.vault import policies
from holdfast.vault.ledger.ledger import Entry
from holdfast.vault.policies import Allowed, History, allowed, checked_settings

A, B, C = "a" * 64, "b" * 64, "c" * 64
ONCE = {"policy": "once", "k": None}
BATCH = {"policy": "batch", "k": 3}
CRITERION = {"policy": "criterion", "k": None}


def _entry(type: str, selection: str, opening: int | None = None, **body: Any) -> Entry:
    return Entry("0" * 64, {"type": type, "selection": selection, "opening": opening, "body": body})


def _frozen(*selections: str, **body: Any) -> list[Entry]:
    return [_entry("freeze", selection, **body) for selection in selections]


def test_once_opens_one_in_full_and_others_with_a_reason() -> None:
    entries = _frozen(A, B)
    assert allowed(ONCE, History.of(entries), A) == Allowed(1, "full")
    entries.append(_entry("open.intent", A, 1, level="full", reason=None))
    assert allowed(ONCE, History.of(entries), A) == Allowed(1, "full"), "an interrupted opening goes on as it began"
    with pytest.raises(VaultRefused, match="vault 1234: was opened with selection aaaaaaaa, and its policy is once"):
        allowed(ONCE, History.of(entries), B, where="vault 1234")
    assert allowed(ONCE, History.of(entries), B, reason="a bug") == Allowed(2, "primary", "a bug")


def test_a_reason_does_not_spoil_a_clean_opening() -> None:
    assert allowed(ONCE, History.of(_frozen(A)), A, reason="why not").level == "full"


def test_batch_opens_what_was_frozen_before_the_first_opening() -> None:
    entries = [*_frozen(A), *_frozen(B, models=["one", "two"])]
    entries.append(_entry("open.intent", A, 1, level="full"))
    entries += _frozen(C)
    assert allowed(BATCH, History.of(entries), B) == Allowed(2, "full")
    with pytest.raises(VaultRefused, match="selection cccccccc was frozen after the vault was opened"):
        allowed(BATCH, History.of(entries), C)
    assert allowed(BATCH, History.of(entries), C, reason="late").level == "primary"


def test_a_batch_ends_after_k_models() -> None:
    entries = [*_frozen(A, models=["one", "two"]), *_frozen(B, models=["three", "four"])]
    entries.append(_entry("open.intent", A, 1, level="full"))
    with pytest.raises(VaultRefused, match="2 of the 3 models of its batch were opened, and selection bbbbbbbb has 2"):
        allowed(BATCH, History.of(entries), B)


def test_criterion_answers_every_selection_by_one_bit() -> None:
    entries = [*_frozen(A, B), _entry("open.intent", A, 1, level="criterion")]
    assert allowed(CRITERION, History.of(entries), B) == Allowed(2, "criterion")
    with pytest.raises(VaultRefused, match="has answered 1 times, and answers 1 times"):
        allowed({"policy": "criterion", "k": 1}, History.of(entries), B)
    asked = [f"{number:064x}" for number in range(11)]
    entries = [*_frozen(*asked), *(_entry("open.intent", selection, 1) for selection in asked[:10])]
    with pytest.raises(VaultRefused, match="has answered 10 times"):
        allowed(CRITERION, History.of(entries), asked[10])


def test_what_was_not_frozen_or_was_withdrawn_is_not_opened() -> None:
    with pytest.raises(VaultRefused, match="is not in the ledger of its vault; next: holdfast freeze RUN"):
        allowed(ONCE, History(), A)
    with pytest.raises(VaultRefused, match="was withdrawn"):
        allowed(ONCE, History.of([*_frozen(A), _entry("withdraw", A)]), A, reason="again")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"policy": "batch"}, r"vault.k: is None; allowed: how many models will be opened, 2 to 1000"),
        ({"policy": "batch", "k": 1}, "vault.k: is 1"),
        ({"policy": "batch", "k": True}, "vault.k: is True"),
        ({"policy": "criterion", "k": 0}, "vault.k: is 0; allowed: how many answers it gives, 1 to 1000"),
        ({"k": 4}, "vault.k: is 4 under the policy once"),
        ({"key_mode": "keyfile"}, "vault.public_key: is missing; next: holdfast vault keygen"),
        ({"public_key": "here.pub"}, "vault.public_key: belongs to vault.key_mode=keyfile"),
        ({"near_duplicates": "yes"}, "vault.near_duplicates: 'yes' is not offered; allowed: false, true"),
        ({"passphrase": "secret"}, "vault.passphrase: is no setting of a vault"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        checked_settings(settings)


def test_settings_have_defaults() -> None:
    assert policies.policy_of(checked_settings({})) == {"policy": "once", "k": None, "key_mode": "local"}
