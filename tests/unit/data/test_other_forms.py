"""The same source in another form: it goes on with its vault, and its sealed rows stay out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from holdfast.core import places
from holdfast.core.errors import VaultRefused
from holdfast.data.columns import Column
from holdfast.data.new_rows import read_like
from holdfast.data.sources.call import as_rows
from holdfast.data.store.row_keys import forms_of
from holdfast.data.store.store import Prepared, open_prepared, prepare
from holdfast.data.views import ImageView, TableView
from holdfast.inference.predict import refuse_sealed, sealed_vaults
from holdfast.vault import registry
from holdfast.vault.rows.identity import row_digests

SPLIT = {"_target_": "holdfast.data.splits.Auto"}
DECLARED: dict[str, Any] = {"target": "a", "split_column": "part"}


def prepared(path: Path, policy: str = "once", **settings: Any) -> Prepared:
    source: dict[str, Any] = {"path": str(path), **settings}
    if path.is_dir():
        source["_target_"] = "holdfast.data.sources.image_folder.load"
    else:
        source = {"path": str(path), "format": path.suffix[1:], "settings": settings}
        source["_target_"] = "holdfast.data.sources.table.load"
    return prepare({"name": path.name, "source": source}, SPLIT, {"policy": policy})


def frozen(path: Path, **settings: Any) -> Prepared:
    rows = prepared(path, **settings)
    registry.append(rows.vault, "freeze", {}, selection="0" * 64)
    return rows


def cells_of(rows: Prepared, name: str = "b") -> set[np.float32]:
    return set(rows.x[:, rows.feature_names.index(name)].astype(np.float32).tolist())


def sealed_cells(table: pd.DataFrame, name: str = "b") -> set[np.float32]:
    return set(table.loc[table["part"] == "test", name].astype(np.float32).tolist())


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
    first = frozen(tmp_path / "table.csv", **DECLARED)
    again = prepared(tmp_path / "table.csv", target="a")
    assert (again.vault, cells_of(again)) == (first.vault, cells_of(first))
    table.drop(columns="part").iloc[::2].to_csv(tmp_path / "half.csv", index=False)
    half = prepared(tmp_path / "half.csv", target="a")
    assert half.vault == first.vault
    assert cells_of(half) == cells_of(first) & set(table["b"].iloc[::2].astype(np.float32).tolist())
    swapped = table.assign(part=table["part"].replace({"train": "test", "test": "train"}))
    swapped.to_csv(tmp_path / "swapped.csv", index=False)
    rest = prepared(tmp_path / "swapped.csv", **DECLARED)
    assert (rest.vault, len(rest.x), rest.num_test) == (first.vault, 15, 15)
    assert rest.notes[-1] == "30 rows left out that are declared test and were not when the vault was sealed"


def test_words_that_are_no_parts_later_belong_to_the_rows(
    home: Path, tmp_path: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.data.sources.call.BLOCK_ROWS", 10)
    for word, columns in (("test", ("b", "c", "kind")), ("else", ("b", "c", "kind", "part"))):
        changed = table.assign(part=[*["train"] * 59, word])
        assert forms_of(as_rows((changed, "a"))).columns == columns


@pytest.mark.parametrize("settings", [{"size": 4}, {"size": 8, "fit": "pad"}, {"mode": "gray"}, {"mode": "rgba"}])
def test_images_are_known_in_any_size_and_mode(home: Path, photos: Path, settings: dict[str, Any]) -> None:
    pixels = {path: np.array(Image.open(path)) for path in sorted(photos.rglob("*.png"))}
    known = {path: row_digests(image[None], kind="image").tobytes() for path, image in pixels.items()}
    first = frozen(photos)
    second = prepared(photos, **settings)
    assert (second.vault, second.folder.parent) == (first.vault, first.folder.parent), "another view of the same rows"
    assert second.x.shape != first.x.shape
    assert np.array_equal(open_prepared(first.id).x, first.x)
    sealed = set(known.values()) - {digest.tobytes() for digest in first.digests}
    shutil.rmtree(photos / "a")
    shutil.copytree(photos / "b", photos / "c", copy_function=turned)
    third = prepared(photos, **settings)
    assert (third.vault, third.class_names) == (first.vault, ("a", "b", "c"))
    assert not sealed & {digest.tobytes() for digest in third.digests}
    assert len(third.x) == 30 - sum(known[path] in sealed for path in known if path.parent.name == "b")


def turned(source: str, target: str) -> None:
    Image.open(source).rotate(180).save(target)


NUMBERS = TableView((Column("b", "number"), Column("c", "number")), "float32").as_dict()


def test_a_run_that_leaves_columns_out_predicts_no_sealed_row(home: Path, tmp_path: Path, table: pd.DataFrame) -> None:
    frozen(tmp_path / "table.csv", **DECLARED)
    run = {"kind": "table", "view": NUMBERS}
    test = table[table["part"] == "test"]
    for rows in (test, test.drop(columns=["a", "part"]), test.assign(a=0), test.assign(id=range(15))):
        rows.to_csv(tmp_path / "new.csv", index=False)
        id_column = "id" if "id" in rows else None
        (block,) = read_like(run, tmp_path / "new.csv", id_column=id_column, settings={"target": "a"})
        with pytest.raises(VaultRefused, match="15 of the first 15 rows are sealed"):
            refuse_sealed(block.digests, sealed_vaults(), len(block.x))
    table[table["part"] == "train"].to_csv(tmp_path / "new.csv", index=False)
    (block,) = read_like(run, tmp_path / "new.csv", settings={"target": "a"})
    refuse_sealed(block.digests, sealed_vaults(), len(block.x))
    shutil.rmtree(places.registry())  # the vaults are there, and are entered again
    sealed = sealed_vaults()
    test.to_csv(tmp_path / "new.csv", index=False)
    (block,) = read_like(run, tmp_path / "new.csv", settings={"target": "a"})
    with pytest.raises(VaultRefused, match="15 of the first 15 rows are sealed"):
        refuse_sealed(block.digests, sealed, len(block.x))


def test_a_run_of_small_images_predicts_no_sealed_one(home: Path, photos: Path) -> None:
    frozen(photos)
    run = {"kind": "image", "row_shape": [4, 4, 3], "view": ImageView("rgb", (4, 4)).as_dict()}
    (block,) = read_like(run, photos)
    with pytest.raises(VaultRefused, match="6 of the first 30 rows are sealed"):
        refuse_sealed(block.digests, sealed_vaults(), len(block.x))


def test_new_rows_with_columns_added_are_known(home: Path, tmp_path: Path, table: pd.DataFrame) -> None:
    frozen(tmp_path / "table.csv", **DECLARED)
    table.drop(columns="part").reset_index().to_csv(tmp_path / "new.csv", index=False)
    sealed = sealed_vaults()
    (block,) = read_like({"kind": "table", "view": NUMBERS}, tmp_path / "new.csv")
    with pytest.raises(VaultRefused, match="are sealed in vault"):
        refuse_sealed(block.digests, sealed, len(block.x))


def renumbered(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(order=np.random.default_rng(1).permutation(len(table)) + 5000)


SIBLINGS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "an index": lambda t: t.reset_index(names="Unnamed: 0"),
    "an index from 1, and most rows in another order": lambda t: t.assign(row=range(1, len(t) + 1)).sample(
        frac=0.7, random_state=0
    ),
    "a constant": lambda t: t.assign(site="north"),
    "a sentinel in every row": lambda t: t.assign(score=-9),
    "identifiers": lambda t: t.assign(uid=[f"u{number:04d}" for number in range(len(t))]),
    "other numbers of rows": renumbered,
    "one more feature": lambda t: t.assign(ratio=np.arange(len(t)) % 7 / 3),
    "another order of columns": lambda t: t[t.columns[::-1]],
    "one more feature of texts, and appended rows": lambda t: pd.concat(
        [t.assign(town="x"), t.assign(town="y", a=t["a"] + 7, b=t["c"])]
    ),
}


@pytest.mark.parametrize(("name", "is_frozen"), [*((name, True) for name in SIBLINGS), ("one more feature", False)])
def test_a_table_with_columns_added_goes_on(
    name: str, is_frozen: bool, home: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    table.assign(order=range(1000, 1060)).to_csv(tmp_path / "table.csv", index=False)
    first = (frozen if is_frozen else prepared)(tmp_path / "table.csv", **DECLARED)
    sibling = SIBLINGS[name](table).drop(columns="part")
    sibling.to_csv(tmp_path / "sibling.csv", index=False)
    second = prepared(tmp_path / "sibling.csv", target="a")
    assert second.vault == first.vault
    assert [path.name for path in (home / "vaults").glob("[0-9a-f]*")] == [first.vault]
    assert cells_of(second) == set(sibling["b"].astype(np.float32).tolist()) - sealed_cells(table)
    assert set(second.feature_names) == set(sibling.columns) - {"a", "uid"}
    without = prepared(tmp_path / "sibling.csv", policy="none", target="a")
    assert cells_of(without) == cells_of(second)
    known = sibling["b"].astype(np.float32).isin(sealed_cells(table)).sum()
    assert without.notes[-1] == f"{known} rows left out that are sealed in another vault"


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather", "jsonl"])
@pytest.mark.parametrize("former", ["csv", "feather"])
def test_a_table_in_another_format_goes_on(
    suffix: str, former: str, home: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    def write(frame: pd.DataFrame, path: Path) -> None:
        lines = {"orient": "records", "lines": True} if path.suffix == ".jsonl" else {}
        how = {"csv": frame.to_csv, "jsonl": frame.to_json, "parquet": frame.to_parquet, "feather": frame.to_feather}
        how[path.suffix[1:]](path, **lines)

    holes = table.assign(c=table["c"].where(table.index % 7 > 0), flag=table["b"] > 0)
    write(holes, tmp_path / f"table.{former}")
    first = frozen(tmp_path / f"table.{former}", **DECLARED)
    shuffled = holes.sample(frac=1, random_state=3).reset_index(drop=True)
    write(shuffled, tmp_path / f"other.{suffix}")
    second = prepared(tmp_path / f"other.{suffix}", target="a", split_column="part")
    assert (second.vault, second.num_test) == (first.vault, 15)
    assert cells_of(second) == cells_of(first) == set(table["b"].astype(np.float32).tolist()) - sealed_cells(table)


def test_a_table_that_was_stored_as_an_array_goes_on(home: Path, tmp_path: Path) -> None:
    """Its columns lost their names, which were not in order, and stand beside one more."""
    x, y = np.random.default_rng(0).normal(size=(200, 3)).round(3), np.arange(200) % 2
    pd.DataFrame(x, columns=["c", "a", "b"]).assign(y=y).to_csv(tmp_path / "t.csv", index=False)
    first = frozen(tmp_path / "t.csv", target="y")
    np.savez(tmp_path / "t.npz", x=np.column_stack([np.arange(200), x]), y=y)
    source = {"_target_": "holdfast.data.sources.arrays.load", "path": str(tmp_path / "t.npz")}
    second = prepare({"name": "t", "source": source}, SPLIT, {"policy": "once"})
    assert second.vault == first.vault
    assert set(second.x[:, 1].tolist()) == cells_of(first, "c")


def test_another_target_and_a_column_added_add_a_vault_over_the_same_test_rows(
    home: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    first = frozen(tmp_path / "table.csv", **DECLARED)
    table.drop(columns="part").reset_index().to_csv(tmp_path / "sibling.csv", index=False)
    second = prepared(tmp_path / "sibling.csv", target="b")
    assert second.vault != first.vault
    assert registry.is_current(first.vault)
    assert registry.record_of(second.vault)["shares"] == [first.vault]
    assert cells_of(second, "c") == cells_of(first, "c")
    assert not cells_of(second, "c") & sealed_cells(table, "c")


def test_numbers_that_are_called_missing_leave_a_row_what_it_is(
    home: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    odd = table.assign(score=-9, c=table["c"].where(table.index % 3 > 0, -9))
    odd.to_csv(tmp_path / "odd.csv", index=False)
    first = frozen(tmp_path / "odd.csv", **DECLARED)
    settings = {**DECLARED, "missing": [-9], "drop": ["score"]}
    second = prepared(tmp_path / "odd.csv", **settings)
    assert (second.vault, second.folder.parent) == (first.vault, first.folder.parent)
    assert np.isnan(second.x[:, second.feature_names.index("c")]).sum() == (first.x == -9).sum() - len(first.x) > 0
    odd.iloc[::2].to_csv(tmp_path / "half.csv", index=False)
    half = prepared(tmp_path / "half.csv", **settings)
    assert half.vault == first.vault
    assert not cells_of(half) & sealed_cells(table)


def test_words_for_missing_cells_leave_a_column_of_numbers(home: Path, tmp_path: Path) -> None:
    cells = ["unknown" if index % 5 == 0 else f"{index},5" for index in range(60)]
    rows = [f"{index % 7},{index % 3};{cell};-9;{index % 2}" for index, cell in enumerate(cells)]
    (tmp_path / "t.csv").write_text("\n".join(["a;b;c;y", *rows]))
    columns = prepared(tmp_path / "t.csv", target="y", missing=["unknown", "-9"]).columns
    assert [(column.name, column.type) for column in columns] == [("a", "number"), ("b", "number"), ("c", "number")]


def orders(seed: int) -> pd.DataFrame:
    """A month of orders: nothing but the numbers of the orders tells them apart."""
    random = np.random.default_rng(seed)
    prices = random.choice([9.99, 19.99, 4.5, 2.25], 300)
    return pd.DataFrame({"qty": random.integers(1, 5, 300), "price": prices, "y": random.integers(0, 2, 300)})


def test_strangers_with_the_same_columns_of_few_values_are_no_sealed_rows(home: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        orders(seed).assign(order=range(1000 * seed, 1000 * seed + 300)).to_csv(tmp_path / f"{seed}.csv", index=False)
    first = frozen(tmp_path / "0.csv", target="y").vault
    second = prepared(tmp_path / "1.csv", target="y")
    assert second.vault != first
    assert registry.is_current(first)
    assert registry.is_current(second.vault)
    assert (len(second.x), second.num_test) == (240, 60)


def test_a_table_of_a_few_kinds_of_rows_goes_on(home: Path, tmp_path: Path) -> None:
    """Nobody can tell a stranger of the same kinds from a table that was extended: sealed kinds stay out of both."""
    orders(2).to_csv(tmp_path / "plain.csv", index=False)
    first = frozen(tmp_path / "plain.csv", target="y")
    kinds = set(map(tuple, first.x.tolist()))
    assert len(kinds) < 16
    orders(2).sample(frac=1, random_state=0).to_csv(tmp_path / "other.csv", index=False)
    assert prepared(tmp_path / "other.csv", target="y", drop=["qty"]).vault == first.vault
    for name, frame in (
        ("more", pd.concat([orders(2), orders(3)])),
        ("wide", orders(3).assign(tax=10.5 + np.arange(300) / 7)),
    ):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        rows = prepared(tmp_path / f"{name}.csv", target="y")
        assert rows.vault == first.vault
        assert set(map(tuple, rows.x[:, :2].tolist())) == kinds


def test_a_table_of_few_whole_numbers_is_known_again_as_a_whole_only(home: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    answers = pd.DataFrame(random.integers(0, 2, (200, 5)), columns=list("abcde")).assign(y=np.arange(200) % 2)
    answers.to_csv(tmp_path / "t.csv", index=False)
    first = frozen(tmp_path / "t.csv", target="y")
    answers.sample(frac=1, random_state=0).assign(site="x").to_parquet(tmp_path / "t.parquet", index=False)
    assert prepared(tmp_path / "t.parquet", target="y").vault == first.vault
    answers.assign(y=1 - answers["y"]).to_csv(tmp_path / "stranger.csv", index=False)
    stranger = prepared(tmp_path / "stranger.csv", target="y")
    assert stranger.vault != first.vault
    assert len(stranger.x) + stranger.num_test == 200
    assert registry.is_current(first.vault)
