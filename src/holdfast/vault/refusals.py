"""Refusals that are noted in a ledger, and how many of them: who asks again and again must not fill the disk."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from holdfast.vault import registry
from holdfast.vault.ledger import ledger

MAX_IN_ALL = 1000
MAX_IN_AN_HOUR = 60
HOUR_S = 3600.0


def note_refusal(vault: str, body: Mapping[str, Any], *, selection: str | None = None) -> ledger.Entry | None:
    """Add `refused` to a vault's ledger; None where enough of them stand there.

    The same refusal, of the same selection for the same reason, is noted once an hour; all together at most 60 in an
    hour and 1,000 ever.

    Raises:
        VaultRefused: The entry could not be written.
    """
    entries = [entry for entry in registry.read_ledger(vault) if entry.type == "refused"]
    if not _is_due(entries, body, selection, time.time()):
        return None
    return registry.append(vault, "refused", dict(body), selection=selection)


def _is_due(entries: Sequence[ledger.Entry], body: Mapping[str, Any], selection: str | None, now: float) -> bool:
    # A clock that was set back makes an entry newer, never older.
    recent = [entry for entry in entries if now - _seconds(entry) < HOUR_S]
    is_known = any(entry.selection == selection and entry.body.get("reason") == body["reason"] for entry in recent)
    return not is_known and len(recent) < MAX_IN_AN_HOUR and len(entries) < MAX_IN_ALL


def _seconds(entry: ledger.Entry) -> float:
    try:
        return datetime.fromisoformat(str(entry.fields["time"])).astimezone(UTC).timestamp()
    except ValueError:
        return 0.0
