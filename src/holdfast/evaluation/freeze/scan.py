"""Sealed rows inside what is about to be frozen: every tensor, list and byte string of a checkpoint is looked through,
and the rows in the store that the run was trained on.

Nothing is decrypted: whatever could be a row (`data.loading.row_search`) is fingerprinted and compared with the
fingerprints of the vault.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from holdfast.core.errors import VaultRefused
from holdfast.data.loading.row_search import candidates, numbers_in
from holdfast.data.statistics import TrainStatistics
from holdfast.data.store.store import Prepared
from holdfast.vault.rows.fingerprints import Fingerprints
from holdfast.vault.rows.identity import row_digests

BLOCK_ROWS = 2**14


def refuse_sealed_rows(where: str, content: Any, train: TrainStatistics, sealed: Sequence[Fingerprints]) -> None:
    """Refuse nested content of tensors, arrays, numbers and bytes that holds sealed rows.

    Raises:
        VaultRefused: Sealed rows were found.
    """
    for name, numbers in numbers_in(content, int(np.prod(train.mean.shape))):
        num_sealed = 0
        for digests in candidates(numbers, train):
            num_sealed += int(np.logical_or.reduce([rows.are_sealed(digests) for rows in sealed]).sum())
        if num_sealed:
            problem = f"holds sealed test rows in {name} ({num_sealed} found)"
            raise VaultRefused(where, problem, next="train again without them: the vault's rows must not be in a model")


def refuse_sealed_train_rows(prepared: Prepared, sealed: Sequence[Fingerprints]) -> None:
    """Refuse rows in the store that are sealed ones: somebody has written them there after the rows were prepared.

    Those of a table are not looked at: in the view of a run they may equal a sealed row that differs elsewhere.

    Raises:
        VaultRefused: Some are sealed.
    """
    for start in range(0, len(prepared.x) if prepared.kind != "table" else 0, BLOCK_ROWS):
        digests = row_digests(prepared.x[start : start + BLOCK_ROWS], kind=prepared.kind)
        if num_sealed := int(np.logical_or.reduce([rows.are_sealed(digests) for rows in sealed]).sum()):
            problem = f"{num_sealed} of the rows from {start:,} on are sealed test rows: the store was changed"
            hint = "delete the folder, which is made anew from the source, and train again"
            raise VaultRefused(str(prepared.folder), problem, next=hint)
