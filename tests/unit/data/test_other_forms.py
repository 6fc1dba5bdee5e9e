"""The same source in another form: sealed rows are known whatever the settings that it is read with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from holdfast.core import places
from holdfast.core.errors import VaultRefused
from holdfast.data.new_rows import read_like
from holdfast.data.store.partition import divide
from holdfast.data.store.store import make_request, prepare
from holdfast.inference.sealed import sealed_rows_refusal
from holdfast.vault import registry

SPLIT = {"_target_": "holdfast.data.splits.Auto"}
DECLARED = {"target": "a", "split_column": "part"}


def data(option: str, path: Path, **settings: Any) -> dict[str, Any]:
    source = {"_target_": f"holdfast.data.sources.{option}.load", "path": str(path), **settings}
    return {"name": option, "source": source}


def frozen(option: str, path: Path, **settings: Any) -> str:
    vault = prepare(data(option, path, **settings), SPLIT, {"policy": "once"}).vault
    registry.append(vault, "freeze", {}, selection="0" * 64)
    return vault


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = pd.DataFrame(random.normal(size=(60, 3)).round(4), columns=["a", "b", "c"])
    rows = numbers.assign(kind=random.choice(["x", "y"], 60), part=np.repeat(["train", "val", "test"], [30, 15, 15]))
    rows.to_csv(tmp_path / "table.csv", index=False)
    return rows


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for number in range(30):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_a_column_of_parts_says_nothing_of_the_rows(home: Path, tmp_path: Path, table: pd.DataFrame) -> None:
    vault = frozen("csv", tmp_path / "table.csv", **DECLARED)
    with pytest.raises(VaultRefused, match=f"vault {vault[:8]} .* another test part"):
        prepare(data("csv", tmp_path / "table.csv", target="a"), SPLIT, {"policy": "once"})
    table.drop(columns="part").iloc[::2].to_csv(tmp_path / "half.csv", index=False)
    with pytest.raises(VaultRefused, match=f"of these rows are sealed in vault {vault[:8]}"):
        prepare(data("csv", tmp_path / "half.csv", target="a"), SPLIT, {"policy": "once"})


def test_words_that_are_no_parts_later_belong_to_the_rows(
    home: Path, tmp_path: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.data.formats.jsonl.BLOCK_BYTES", 2**10)
    digests = []
    for word in ("test", "else"):
        changed = table.assign(part=[*["train"] * 59, word])
        changed.to_json(tmp_path / "table.jsonl", orient="records", lines=True)
        request = make_request(data("jsonl", tmp_path / "table.jsonl", target="a"), SPLIT, {"policy": "once"})
        digests.append(divide(request).identity.digests[:])
    assert (digests[0] != digests[1]).any(axis=1).all()


@pytest.mark.parametrize("settings", [{"size": 4}, {"size": 8, "fit": "pad"}, {"mode": "gray"}, {"mode": "rgba"}])
def test_images_are_known_in_any_size_and_mode(home: Path, photos: Path, settings: dict[str, Any]) -> None:
    vault = frozen("image_folder", photos)
    with pytest.raises(VaultRefused, match=f"vault {vault[:8]} .* another size or mode of images"):
        prepare(data("image_folder", photos, **settings), SPLIT, {"policy": "once"})
    shutil.rmtree(photos / "a")
    (photos / "b").rename(photos / "a")
    shutil.copytree(photos / "a", photos / "c", copy_function=turned)
    with pytest.raises(VaultRefused, match=f"of these rows are sealed in vault {vault[:8]}"):
        prepare(data("image_folder", photos, **settings), SPLIT, {"policy": "once"})


def turned(source: str, target: str) -> None:
    Image.open(source).rotate(180).save(target)


def test_a_run_that_leaves_columns_out_predicts_no_sealed_row(home: Path, tmp_path: Path, table: pd.DataFrame) -> None:
    frozen("csv", tmp_path / "table.csv", **DECLARED)
    columns = [{"name": name, "type": "number"} for name in ("b", "c")]
    run = {"kind": "table", "columns": columns, "dtype": "float32"}
    test = table[table["part"] == "test"]
    for rows in (test, test.drop(columns=["a", "part"]), test.assign(a=0), test.assign(id=range(15))):
        rows.to_csv(tmp_path / "new.csv", index=False)
        id_column = "id" if "id" in rows else None
        (block,) = read_like(run, tmp_path / "new.csv", id_column=id_column, settings={"target": "a"})
        with pytest.raises(VaultRefused, match="15 of the first 15 rows are sealed"):
            sealed_rows_refusal()(block.digests)
    table[table["part"] == "train"].to_csv(tmp_path / "new.csv", index=False)
    (block,) = read_like(run, tmp_path / "new.csv", settings={"target": "a"})
    sealed_rows_refusal()(block.digests)
    shutil.rmtree(places.registry())  # the vaults are there, and are entered again
    test.to_csv(tmp_path / "new.csv", index=False)
    (block,) = read_like(run, tmp_path / "new.csv", settings={"target": "a"})
    with pytest.raises(VaultRefused, match="15 of the first 15 rows are sealed"):
        sealed_rows_refusal()(block.digests)


def test_a_run_of_small_images_predicts_no_sealed_one(home: Path, photos: Path) -> None:
    frozen("image_folder", photos)
    run = {"kind": "image", "row_shape": [4, 4, 3]}
    (block,) = read_like(run, photos)
    with pytest.raises(VaultRefused, match="6 of the first 30 rows are sealed"):
        sealed_rows_refusal()(block.digests)


SIBLINGS = {
    "an index": lambda t: t.reset_index(names="Unnamed: 0"),
    "an index from 1, and half of the rows in another order": lambda t: t.assign(row=range(1, len(t) + 1)).sample(
        frac=0.5, random_state=0
    ),
    "a constant": lambda t: t.assign(site="north"),
    "a sentinel in every row": lambda t: t.assign(score=-9),
    "identifiers": lambda t: t.assign(uid=[f"u{number:04d}" for number in range(len(t))]),
    "one more feature": lambda t: t.assign(ratio=np.arange(len(t)) % 7 / 3),
    "one more feature of texts, and appended rows": lambda t: pd.concat(
        [t.assign(town="x"), t.assign(town="y", a=t["a"] + 7, b=t["c"])]
    ),
}


@pytest.mark.parametrize(("name", "policy"), [*((name, "once") for name in SIBLINGS), ("an index", "none")])
def test_rows_are_known_with_columns_added(
    name: str, policy: str, home: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    vault = frozen("csv", tmp_path / "table.csv", **DECLARED)
    SIBLINGS[name](table).drop(columns="part").to_csv(tmp_path / "sibling.csv", index=False)
    with pytest.raises(VaultRefused, match=f"vault {vault[:8]}"):
        prepare(data("csv", tmp_path / "sibling.csv", target="a"), SPLIT, {"policy": policy})


def test_new_rows_with_columns_added_are_known(home: Path, tmp_path: Path, table: pd.DataFrame) -> None:
    frozen("csv", tmp_path / "table.csv", **DECLARED)
    table.drop(columns="part").reset_index().to_csv(tmp_path / "new.csv", index=False)
    columns = [{"name": name, "type": "number", "has_missing": False} for name in ("b", "c")]
    refuse = sealed_rows_refusal()
    blocks = [*read_like({"kind": "table", "columns": columns, "dtype": "float32"}, tmp_path / "new.csv")]
    with pytest.raises(VaultRefused, match="are sealed in vault"):
        refuse([*blocks[0].digests])


def test_rows_are_known_with_another_target_and_a_column_added(home: Path, tmp_path: Path, table: pd.DataFrame) -> None:
    vault = frozen("csv", tmp_path / "table.csv", **DECLARED)
    table.drop(columns="part").reset_index().to_csv(tmp_path / "sibling.csv", index=False)
    with pytest.raises(VaultRefused, match=f"vault {vault[:8]}"):
        prepare(data("csv", tmp_path / "sibling.csv", target="b"), SPLIT, {"policy": "once"})


def test_before_a_freeze_a_table_with_one_more_column_is_sealed_anew(
    home: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    first = prepare(data("csv", tmp_path / "table.csv", **DECLARED), SPLIT, {"policy": "once"}).vault
    table.assign(extra=np.arange(len(table)) % 4 / 3).to_csv(tmp_path / "more.csv", index=False)
    second = prepare(data("csv", tmp_path / "more.csv", **DECLARED), SPLIT, {"policy": "once"}).vault
    assert registry.record_of(first)["status"] == "replaced"
    assert registry.record_of(second)["replaces"] == [first]


def test_numbers_for_missing_cells_are_no_part_of_a_row(home: Path, tmp_path: Path, table: pd.DataFrame) -> None:
    odd = table.assign(score=-9, c=table["c"].where(table.index % 3 > 0, -9))
    odd.to_csv(tmp_path / "odd.csv", index=False)
    vault = frozen("csv", tmp_path / "odd.csv", **DECLARED)
    settings = {"missing": [-9], "drop": ["score"]}
    with pytest.raises(VaultRefused, match=f"vault {vault[:8]} .* was frozen with another"):
        prepare(data("csv", tmp_path / "odd.csv", **DECLARED, **settings), SPLIT, {"policy": "once"})
    odd.iloc[::2].to_csv(tmp_path / "half.csv", index=False)
    with pytest.raises(VaultRefused, match=f"of these rows are sealed in vault {vault[:8]}"):
        prepare(data("csv", tmp_path / "half.csv", **DECLARED, **settings), SPLIT, {"policy": "once"})


def test_words_for_missing_cells_leave_a_column_of_numbers(home: Path, tmp_path: Path) -> None:
    cells = ["unknown" if index % 5 == 0 else f"{index},5" for index in range(60)]
    rows = [f"{index % 7},{index % 3};{cell};-9;{index % 2}" for index, cell in enumerate(cells)]
    (tmp_path / "t.csv").write_text("\n".join(["a;b;c;y", *rows]))
    settings = {"target": "y", "missing": ["unknown", "-9"]}
    columns = prepare(data("csv", tmp_path / "t.csv", **settings), SPLIT, {"policy": "once"}).columns
    assert [(column.name, column.type) for column in columns] == [("a", "number"), ("b", "number"), ("c", "number")]


def test_strangers_with_the_same_columns_of_few_values_are_no_sealed_rows(home: Path, tmp_path: Path) -> None:
    """Two months of orders: nothing but the numbers of the orders tells them apart."""

    def orders(seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        prices = random.choice([9.99, 19.99, 4.5, 2.25], 300)
        return pd.DataFrame({"qty": random.integers(1, 5, 300), "price": prices, "y": random.integers(0, 2, 300)})

    for seed in (0, 1):
        orders(seed).assign(order=range(1000 * seed, 1000 * seed + 300)).to_csv(tmp_path / f"{seed}.csv", index=False)
    first = frozen("csv", tmp_path / "0.csv", target="y")
    second = prepare(data("csv", tmp_path / "1.csv", target="y"), SPLIT, {"policy": "once"}).vault
    assert second != first
    assert registry.is_current(first)
    assert registry.is_current(second)
    orders(2).to_csv(tmp_path / "plain.csv", index=False)
    third = frozen("csv", tmp_path / "plain.csv", target="y")
    orders(3).assign(tax=10.5 + np.arange(300) / 7).to_csv(tmp_path / "wide.csv", index=False)
    prepare(data("csv", tmp_path / "wide.csv", target="y"), SPLIT, {"policy": "once"})
    assert registry.is_current(third)
