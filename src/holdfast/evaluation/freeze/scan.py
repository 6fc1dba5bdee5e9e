"""Sealed rows inside what is about to be frozen: every tensor, list and byte string of a checkpoint is looked through.

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
from holdfast.vault.rows.fingerprints import Fingerprints


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
