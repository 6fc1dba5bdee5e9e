"""The columns of a table take turns as target: the rows stay the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from holdfast.data.store.store import Prepared, prepare
from holdfast.vault import registry


def prepared(path: Path, target: str, **settings: Any) -> Prepared:
    source: dict[str, Any] = {"_target_": "holdfast.data.sources.table.load", "path": str(path), "format": "csv"}
    source["settings"] = {"target": target, **settings}
    split = {"_target_": "holdfast.data.splits.Auto"}
    return prepare({"name": "table", "source": source}, split, {"policy": "once"})


def cells_of(rows: Prepared) -> list[float]:
    return sorted(rows.x[:, rows.feature_names.index("c")].tolist())


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = pd.DataFrame(random.normal(size=(120, 3)).round(4), columns=["a", "b", "c"])
    return numbers.assign(part=np.repeat(["train", "val", "test"], [70, 20, 30]))


@pytest.mark.parametrize("is_frozen", [False, True])
def test_another_target_adds_a_vault_over_the_same_test_rows(
    home: Path, tmp_path: Path, table: pd.DataFrame, is_frozen: bool
) -> None:
    table.drop(columns="part").to_csv(tmp_path / "table.csv", index=False)
    first = prepared(tmp_path / "table.csv", "a")
    if is_frozen:
        registry.append(first.vault, "freeze", {}, selection="0" * 64)
    second = prepared(tmp_path / "table.csv", "b")
    assert second.vault != first.vault
    assert registry.is_current(first.vault)
    assert registry.record_of(second.vault)["shares"] == [first.vault]
    assert (second.num_test, cells_of(second)) == (first.num_test, cells_of(first))
    assert (prepared(tmp_path / "table.csv", "a").id, prepared(tmp_path / "table.csv", "b").id) == (first.id, second.id)


def test_neither_target_nor_part_brings_sealed_rows_back(home: Path, tmp_path: Path, table: pd.DataFrame) -> None:
    table.to_csv(tmp_path / "table.csv", index=False)
    first = prepared(tmp_path / "table.csv", "a", split_column="part")
    assert first.num_test == 30
    registry.append(first.vault, "freeze", {}, selection="0" * 64)
    swapped = table.assign(part=table["part"].replace({"train": "test", "test": "train"}))
    swapped.to_csv(tmp_path / "swapped.csv", index=False)
    sealed = set(table["c"].iloc[90:].astype(np.float32).tolist())
    for path, target, num in (("swapped.csv", "a", 20), ("swapped.csv", "b", 20), ("table.csv", "b", 90)):
        rows = prepared(tmp_path / path, target, split_column="part")
        assert (rows.vault == first.vault) == (target == "a")
        assert (len(rows.x), rows.num_test) == (num, 30)
        assert not sealed & set(cells_of(rows))
    rows = prepared(tmp_path / "swapped.csv", "b", split_column="part", drop=["a"])
    assert not sealed & set(cells_of(rows))
