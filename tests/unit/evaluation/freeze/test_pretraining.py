from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from holdfast import sources
from holdfast.core.errors import InputError, VaultRefused
from holdfast.data.store.store import Prepared
from holdfast.evaluation.freeze import sealed_rows
from holdfast.vault.rows.identity import row_digests


def record(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"pretrained": list(entries)}


def entry(vault: str, sha256: str = "a") -> dict[str, Any]:
    return {"run": "pre", "vault": vault, "rows": f"{vault}-0123/4567", "sha256": sha256}


def test_runs_of_the_same_vault_are_named_once(prepared: Prepared) -> None:
    first, second = entry(prepared.vault), entry(prepared.vault, "b")
    lineage = sealed_rows.pretraining_of([record(first, second), record(first), {}], prepared.vault)
    assert lineage == [first, second]


def test_rows_that_are_sealed_now_are_refused(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sources.breast_cancer()
    everything = row_digests(rows.x, kind=rows.kind, feature_names=rows.feature_names)
    num_sealed = len(everything) - len(prepared.digests)
    monkeypatch.setattr(sealed_rows, "open_prepared", lambda vault: SimpleNamespace(digests=everything))
    with pytest.raises(VaultRefused) as caught:
        sealed_rows.pretraining_of([record(entry("0" * 32))], prepared.vault)
    problem = f"pretrained on pre: {num_sealed} of its rows (00000000) are sealed in vault {prepared.vault[:8]}"
    assert str(caught.value) == f"{problem}; next: pretrain again without them"


def test_other_rows_are_taken(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimpleNamespace(digests=np.random.default_rng(0).integers(0, 256, (50, 16), np.uint8))
    monkeypatch.setattr(sealed_rows, "open_prepared", lambda vault: other)
    assert len(sealed_rows.pretraining_of([record(entry("0" * 32))], prepared.vault)) == 1


def test_rows_that_are_gone_are_refused(prepared: Prepared) -> None:
    with pytest.raises(VaultRefused, match=r"^pretrained on pre: its rows \(00000000\) are no longer in the store"):
        sealed_rows.pretraining_of([record(entry("0" * 32))], prepared.vault)
    with pytest.raises(InputError):
        sealed_rows.open_prepared(entry("0" * 32)["rows"])
