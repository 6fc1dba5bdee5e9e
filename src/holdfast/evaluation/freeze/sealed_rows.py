"""Sealed rows must be in nothing that is frozen: no checkpoint or record, no row in the store, no run pretrained on.

Nothing is decrypted: whatever could be a row (`data.loading.row_search`) is fingerprinted and compared with the
fingerprints of the vault. Of a checkpoint every tensor, list and byte string is looked through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from holdfast.core.errors import InputError, VaultRefused
from holdfast.data.loading.row_search import candidates, numbers_in
from holdfast.data.statistics import TrainStatistics
from holdfast.data.store.store import Prepared, open_prepared
from holdfast.vault import known_rows
from holdfast.vault.rows.digest_sets import Fingerprints
from holdfast.vault.rows.identity import RowArray, row_digests

BLOCK_ROWS = 2**14


def refuse_sealed_rows(where: str, content: Any, train: TrainStatistics, sealed: Sequence[Fingerprints]) -> None:
    """Refuse nested content of tensors, arrays, numbers and bytes that holds sealed rows."""
    for name, numbers in numbers_in(content, int(np.prod(train.mean.shape))):
        if count := sum(_num_sealed(digests, sealed) for digests in candidates(numbers, train)):
            problem = f"holds sealed test rows in {name} ({count} found)"
            raise VaultRefused(where, problem, next="train again without them: the vault's rows must not be in a model")


def refuse_sealed_train_rows(prepared: Prepared, sealed: Sequence[Fingerprints]) -> None:
    """Refuse rows in the store that are sealed ones: somebody has written them there after the rows were prepared.

    Those of a table are not looked at: in the view of a run they may equal a sealed row that differs elsewhere.
    """
    for start in range(0, len(prepared.x) if prepared.kind != "table" else 0, BLOCK_ROWS):
        digests = row_digests(prepared.x[start : start + BLOCK_ROWS], kind=prepared.kind)
        if count := _num_sealed(digests, sealed):
            problem = f"{count} of the rows from {start:,} on are sealed test rows: the store was changed"
            hint = "delete the folder, which is made anew from the source, and train again"
            raise VaultRefused(str(prepared.folder), problem, next=hint)


def pretraining_of(records: Sequence[Mapping[str, Any]], vault: str) -> list[dict[str, Any]]:
    """The runs that the members' weights came from, each once; the field `pretrained` of a selection.

    Runs of the same vault saw its train and val rows alone. Of any other, the rows that are in the store are compared
    with the sealed ones, one by one.

    Raises:
        VaultRefused: A run was trained on rows that are sealed in the vault, or nobody can say any more.
    """
    runs = {entry["sha256"]: entry for record in records for entry in record.get("pretrained") or []}
    others = {str(entry["rows"]): entry["run"] for entry in runs.values() if entry["vault"] != vault}
    for rows, run in sorted(others.items()):
        where = f"pretrained on {run}"
        try:
            digests = open_prepared(rows).digests
        except InputError:
            problem = f"its rows ({rows[:8]}) are no longer in the store: sealed rows may have been among them"
            raise VaultRefused(where, problem, next="pretrain again, on the data as it is sealed now") from None
        if count := _num_sealed(digests, [known_rows.sealed_rows(vault)]):
            problem = f"{count} of its rows ({rows[:8]}) are sealed in vault {vault[:8]}"
            raise VaultRefused(where, problem, next="pretrain again without them")
    return list(runs.values())


def _num_sealed(digests: RowArray, sealed: Sequence[Fingerprints]) -> int:
    """The number of rows that are sealed for certain by any of some fingerprints."""
    return int(np.logical_or.reduce([rows.are_sealed(digests) for rows in sealed]).sum())
