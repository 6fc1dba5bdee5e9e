"""Rows that are sealed in a vault are not predicted on: that would be an opening that no ledger tells of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import VaultRefused
from holdfast.vault import known_rows, lifecycle, registry
from holdfast.vault.rows.digest_sets import Fingerprints

Forms = Sequence[NDArray[np.uint8]]


def sealed_rows_refusal() -> Callable[[Forms], None]:
    """A function that refuses blocks with sealed rows; it does nothing where there is no HOLDFAST_HOME.

    It takes the digests of a block's rows, in one form or several: a match of any is a match. Rows whose fingerprint
    is ambiguous match nothing.

    Raises:
        VaultRefused: The key of the fingerprints is gone; later, a row is sealed in a vault.
    """
    sealed = _sealed_vaults() if places.vaults().is_dir() or places.registry().is_dir() else []
    num_rows = 0

    def refuse(forms: Forms) -> None:
        nonlocal num_rows
        num_rows += len(forms[0])
        for record, rows in sealed:
            is_sealed = np.logical_or.reduce([rows.are_sealed(digests) for digests in forms])
            if is_sealed.any():
                name = f"vault {record['vault'][:8]} ({record['name']})"
                problem = (
                    f"{is_sealed.sum():,} of the first {num_rows:,} rows are sealed in {name}: nothing was written"
                )
                hint = "predict on other rows; `holdfast freeze` and `holdfast open` evaluate these, once"
                raise VaultRefused("--input", problem, next=hint)

    return refuse


def _sealed_vaults() -> list[tuple[dict[str, Any], Fingerprints]]:
    if lifecycle.unregistered():
        with registry.locked():
            lifecycle.recover()
    return [(record, known_rows.sealed_rows(record["vault"])) for record in registry.in_force()]
