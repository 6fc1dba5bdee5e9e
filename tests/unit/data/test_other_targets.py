"""The columns of a table take turns as target: the rows stay the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from holdfast.core.errors import VaultRefused
from holdfast.data.store.store import Prepared, prepare
from holdfast.vault import registry


def prepared(path: Path, target: str, **settings: Any) -> Prepared:
    source = {"_target_": "holdfast.data.sources.csv.load", "path": str(path), "target": target, **settings}
    split = {"_target_": "holdfast.data.splits.Auto"}
    return prepare({"name": "table", "source": source}, split, {"policy": "once"})


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = pd.DataFrame(random.normal(size=(120, 3)).round(4), columns=["a", "b", "c"])
    return numbers.assign(part=np.repeat(["train", "val", "test"], [70, 20, 30]))


def test_before_a_freeze_another_target_seals_the_rows_anew(home: Path, tmp_path: Path, table: pd.DataFrame) -> None:
    table.drop(columns="part").to_csv(tmp_path / "table.csv", index=False)
    first = prepared(tmp_path / "table.csv", "a")
    second = prepared(tmp_path / "table.csv", "b")
    assert second.vault != first.vault
    assert not registry.is_current(first.vault)


def test_after_a_freeze_neither_target_nor_part_brings_sealed_rows_back(
    home: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    table.to_csv(tmp_path / "table.csv", index=False)
    first = prepared(tmp_path / "table.csv", "a", split_column="part")
    assert first.num_test == 30
    registry.append(first.vault, "freeze", {}, selection="0" * 64)
    swapped = table.assign(part=table["part"].replace({"train": "test", "test": "train"}))
    swapped.to_csv(tmp_path / "swapped.csv", index=False)
    for path, target in (("swapped.csv", "a"), ("swapped.csv", "b"), ("table.csv", "b")):
        with pytest.raises(VaultRefused, match=f"vault {first.vault[:8]}"):
            prepared(tmp_path / path, target, split_column="part")
    with pytest.raises(VaultRefused, match=f"vault {first.vault[:8]}"):
        prepared(tmp_path / "swapped.csv", "b", split_column="part", drop=["c"])
