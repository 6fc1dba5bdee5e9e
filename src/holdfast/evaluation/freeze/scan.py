"""Sealed rows inside what is about to be frozen: every tensor, list and byte string of a checkpoint is looked through.

Nothing is decrypted: whatever could be a row (`data.loading.row_search`) is fingerprinted and compared with the
fingerprints of the vault.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from holdfast.core.errors import VaultRefused
from holdfast.data.loading.row_search import RowForm, candidates, numbers_in
from holdfast.vault.rows import fingerprints


def refuse_sealed_rows(
    where: str, content: Any, form: RowForm, sealed: Sequence[fingerprints.Known], key: bytes
) -> None:
    """Refuse content that holds sealed rows.

    Args:
        where: Named in the refusal.
        content: Nested mappings and sequences of tensors, arrays, numbers and bytes.
        form: Of the rows.
        sealed: The vault's rows, as the source holds them and as the view shows them.
        key: Of the fingerprints (`known_rows.fingerprint_key`).

    Raises:
        VaultRefused: Sealed rows were found.
    """
    for name, numbers in numbers_in(content, int(np.prod(form.shape))):
        count = 0
        for digests in candidates(numbers, form):
            prints = fingerprints.fingerprints_of(digests, key)
            count += int(np.logical_or.reduce([known.has(prints) for known in sealed]).sum())
        if count:
            what = f"holds sealed test rows in {name} ({count} found)"
            raise VaultRefused(where, what, next="train again without them: the vault's rows must not be in a model")
