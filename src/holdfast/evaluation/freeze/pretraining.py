"""The runs that a frozen model's weights came from: rows that are sealed now must not be among theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.core.errors import InputError, VaultRefused
from holdfast.data.store.store import open_prepared
from holdfast.vault import known_rows


def pretraining_of(records: Sequence[Mapping[str, Any]], vault: str) -> list[dict[str, Any]]:
    """All runs that the members' weights came from, each once; the field `pretrained` of a selection.

    Runs of the same vault saw its train and val rows alone. Of any other, the rows that are in the store are compared
    with the sealed ones, one by one.

    Raises:
        VaultRefused: A run was trained on rows that are sealed in the vault, or nobody can say any more.
    """
    runs = {entry["sha256"]: entry for record in records for entry in record.get("pretrained") or []}
    for other in sorted({str(entry["rows"]) for entry in runs.values() if entry["vault"] != vault}):
        run = next(entry["run"] for entry in runs.values() if entry["rows"] == other)
        _refuse_sealed(f"pretrained on {run}", other, vault)
    return list(runs.values())


def _refuse_sealed(where: str, other: str, vault: str) -> None:
    try:
        digests = open_prepared(other).digests
    except InputError:
        problem = f"its rows ({other[:8]}) are no longer in the store: sealed rows may have been among them"
        raise VaultRefused(where, problem, next="pretrain again, on the data as it is sealed now") from None
    if count := int(known_rows.sealed_rows(vault).are_sealed(digests).sum()):
        problem = f"{count} of its rows ({other[:8]}) are sealed in vault {vault[:8]}"
        raise VaultRefused(where, problem, next="pretrain again without them")
