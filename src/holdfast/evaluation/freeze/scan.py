"""Sealed rows inside what is about to be frozen: every tensor, list and byte string of a checkpoint is looked through.

Nothing is decrypted: whatever could be a row (`data.loading.row_search`) is fingerprinted and compared with the
fingerprints of the vault.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import VaultRefused
from holdfast.data.loading.row_search import RowForm, candidates, numbers_in
from holdfast.vault.rows import fingerprints


def refuse_sealed_rows(where: str, content: Any, form: RowForm, records: NDArray[np.uint8], key: bytes) -> None:
    """Refuse content that holds sealed rows.

    Args:
        where: Named in the refusal.
        content: Nested mappings and sequences of tensors, arrays, numbers and bytes.
        form: Of the rows.
        records: Fingerprints of the vault (`fingerprints.read_records`).
        key: Of these fingerprints (`known_rows.fingerprint_key`).

    Raises:
        VaultRefused: Sealed rows were found.
    """
    certain = _as_items(records[records[:, -1] == 0][:, : fingerprints.FINGERPRINT_BYTES])
    for name, numbers in numbers_in(content, int(np.prod(form.shape))):
        found = 0
        for digests in candidates(numbers, form):
            found += int(np.isin(_as_items(fingerprints.fingerprints_of(digests, key)), certain).sum())
        if found:
            what = f"holds sealed test rows in {name} ({found} found)"
            raise VaultRefused(where, what, next="train again without them: the vault's rows must not be in a model")


def _as_items(prints: NDArray[np.uint8]) -> NDArray[np.void]:
    return np.ascontiguousarray(prints).view(f"V{prints.shape[1]}").ravel()
