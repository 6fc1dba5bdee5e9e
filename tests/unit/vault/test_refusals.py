from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from holdfast.vault.ledger.ledger import Entry
from holdfast.vault.registry import MAX_REFUSALS, MAX_REFUSALS_IN_AN_HOUR, _is_due

NOW = 1_800_000_000.0


def _refused(age_s: float, selection: str | None = "a" * 64, reason: str = "once") -> Entry:
    fields: dict[str, Any] = {"selection": selection, "body": {"reason": reason}, "type": "refused"}
    return Entry("", fields | {"time": datetime.fromtimestamp(NOW - age_s, UTC).isoformat()})


def test_the_same_refusal_is_noted_once_an_hour() -> None:
    assert _is_due([], {"reason": "once"}, "a" * 64, NOW)
    assert not _is_due([_refused(3599)], {"reason": "once"}, "a" * 64, NOW)
    assert _is_due([_refused(3601)], {"reason": "once"}, "a" * 64, NOW)
    assert _is_due([_refused(1)], {"reason": "once"}, "b" * 64, NOW)
    assert _is_due([_refused(1)], {"reason": "another"}, "a" * 64, NOW)


def test_refusals_have_a_rate_and_a_number() -> None:
    for age_s, num in ((10, MAX_REFUSALS_IN_AN_HOUR), (10_000, MAX_REFUSALS)):
        entries = [_refused(age_s, f"{index:064x}") for index in range(num)]
        assert not _is_due(entries, {"reason": "once"}, "f" * 64, NOW)
        assert _is_due(entries[1:], {"reason": "once"}, "f" * 64, NOW)


def test_a_clock_that_was_set_back_does_not_help() -> None:
    assert not _is_due([_refused(-5000)], {"reason": "once"}, "a" * 64, NOW)
