"""A table that was changed upstream is still the table that is sealed: no former test row comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from holdfast.core.errors import VaultRefused
from holdfast.data.store.store import Prepared, prepare
from holdfast.vault import project_lock, registry

NUM_ROWS = 300


def houses() -> pd.DataFrame:
    random = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "area": random.normal(90, 30, NUM_ROWS).round(2),
            "city": random.choice(["Ulm", "Bonn", "Kiel"], NUM_ROWS),
            "year": random.integers(1900, 2020, NUM_ROWS),
            "rooms": np.where(random.random(NUM_ROWS) < 0.1, np.nan, random.normal(4, 1, NUM_ROWS)),
            "key": np.arange(NUM_ROWS) + 0.5,
        }
    )
    return frame.assign(sold=np.where(random.random(NUM_ROWS) < 0.5, "yes", "no"), price=frame.area * 3000 + frame.year)


def prepared(path: Path, frame: pd.DataFrame, target: str = "sold", project: Path | None = None) -> Prepared:
    frame.to_csv(path, index=False)
    settings = {"target": target}
    source = {"_target_": "holdfast.data.sources.table.load", "format": "csv", "path": str(path), "settings": settings}
    return prepare({"name": "houses", "source": source}, {"_target_": "holdfast.data.splits.Auto"}, {}, project)


def keys(prepared: Prepared) -> set[float]:
    """The names of the rows that development sees."""
    return set(np.asarray(prepared.x[:, prepared.feature_names.index("key")], float).tolist())


CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "columns removed": lambda frame: frame.drop(columns=["rooms", "city"]),
    "columns renamed": lambda frame: frame.rename(columns={"area": "surface", "rooms": "zimmer"}),
    "one rescaled": lambda frame: frame.assign(area=frame.area * 10.764),
    "one rounded": lambda frame: frame.assign(area=frame.area.round()),
    "missing cells filled in": lambda frame: frame.assign(rooms=frame.rooms.fillna(frame.rooms.mean())),
    "texts mended": lambda frame: frame.assign(city=frame.city.replace({"Ulm": "Ulm (Donau)"})),
    "one removed, one added": lambda frame: frame.drop(columns="rooms").assign(floor=frame.year % 7),
    "shuffled, with an index, one removed": lambda frame: (
        frame.drop(columns="year").sample(frac=1, random_state=2).reset_index().rename(columns={"index": "number"})
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_sealed_rows_stay_out(home: Path, tmp_path: Path, change: str) -> None:
    frame = houses()
    first = prepared(tmp_path / "a.csv", frame)
    sealed = set(frame.key) - keys(first)
    assert len(sealed) == 60
    second = prepared(tmp_path / "b.csv", CHANGES[change](frame))
    assert second.vault == first.vault
    assert keys(second) == keys(first)


def test_one_mended_cell_in_a_table_that_grew(home: Path, tmp_path: Path) -> None:
    frame = houses()
    first = prepared(tmp_path / "a.csv", frame)
    sealed = set(frame.key) - keys(first)
    mended = frame.copy()
    mended.loc[mended.key.isin(sealed), "year"] += 1
    grown = pd.concat([mended, houses().assign(key=frame.key + 1000, area=frame.area + 0.01, year=1800)])
    second = prepared(tmp_path / "b.csv", grown)
    assert second.vault == first.vault
    assert not keys(second) & sealed
    assert len(keys(second)) == 240 + NUM_ROWS


def test_another_target_of_a_changed_table(home: Path, tmp_path: Path) -> None:
    frame = houses()
    first = prepared(tmp_path / "a.csv", frame)
    second = prepared(tmp_path / "b.csv", frame.drop(columns="rooms"), target="price")
    assert second.vault != first.vault
    assert keys(second) == keys(first)


def test_a_table_of_the_same_columns_is_another_one(home: Path, tmp_path: Path) -> None:
    frame, random = houses(), np.random.default_rng(9)
    first = prepared(tmp_path / "a.csv", frame)
    other = frame.assign(
        area=random.normal(90, 30, NUM_ROWS).round(2),
        year=random.permutation(frame.year),
        rooms=random.normal(4, 1, NUM_ROWS),
        key=frame.key + 5000,
        price=random.normal(size=NUM_ROWS),
    )
    second = prepared(tmp_path / "b.csv", other)
    assert second.vault != first.vault
    assert len(second.y) == 240
    assert second.notes == ()


def test_sealed_rows_of_a_part_stay_out(home: Path, tmp_path: Path) -> None:
    frame = houses()
    first = prepared(tmp_path / "a.csv", frame)
    sealed = set(frame.key) - keys(first)
    part = prepared(tmp_path / "b.csv", frame[:120])
    assert part.vault == first.vault
    assert not keys(part) & sealed
    changed = prepared(tmp_path / "c.csv", frame[:120].drop(columns="rooms"))
    assert not keys(changed) & sealed


def test_repeated_rows_do_not_hide_that_a_column_was_removed(home: Path, tmp_path: Path) -> None:
    frame = houses()
    doubled = pd.concat([frame, frame[:60]])
    first = prepared(tmp_path / "a.csv", doubled)
    sealed = set(frame.key) - keys(first)
    second = prepared(tmp_path / "b.csv", doubled.drop(columns="rooms"))
    assert second.vault == first.vault
    assert not keys(second) & sealed


def test_an_array_without_names_and_a_file_with_an_index(home: Path, tmp_path: Path) -> None:
    frame = houses()[["area", "year", "key", "price"]]
    np.savez(tmp_path / "a.npz", x=frame.to_numpy(float), y=(frame.price > frame.price.median()).astype(int))
    source = {"_target_": "holdfast.data.sources.arrays.load", "path": str(tmp_path / "a.npz")}
    first = prepare({"name": "npz", "source": source}, {"_target_": "holdfast.data.splits.Auto"}, {})
    sealed = set(frame.key) - set(np.asarray(first.x[:, 2], float).tolist())
    second = prepared(tmp_path / "b.csv", frame.assign(sold=frame.price > frame.price.median()).reset_index())
    assert len(sealed) == 60
    assert not keys(second) & sealed


def unnamed(path: Path, frame: pd.DataFrame) -> Prepared:
    """A table as an array of numbers, its columns without names."""
    np.savez(path, x=frame.drop(columns="sold").to_numpy(float), y=(frame.sold == "yes").astype(int))
    source = {"_target_": "holdfast.data.sources.arrays.load", "path": str(path)}
    return prepare({"name": "npz", "source": source}, {"_target_": "holdfast.data.splits.Auto"}, {})


@pytest.mark.parametrize("share", [1.0, 0.4, 0.1])
@pytest.mark.parametrize("columns", [["key", "year", "rooms", "area"], ["area", "rooms", "key"]])
def test_a_part_of_a_table_as_an_array_without_names(
    home: Path, tmp_path: Path, share: float, columns: list[str]
) -> None:
    frame = houses()[["area", "year", "rooms", "key", "sold"]]
    first = prepared(tmp_path / "a.csv", frame)
    sealed = set(frame.key) - keys(first)
    part = frame.sample(frac=share, random_state=1)[[*columns, "sold"]]
    second = unnamed(tmp_path / "b.npz", part)
    came = set(np.asarray(second.x[:, columns.index("key")], float).tolist())
    assert sealed & set(part.key), "the part holds sealed rows"
    assert not came & sealed
    assert came <= set(part.key)


def test_an_array_without_names_of_the_same_ranges_is_another_table(home: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    ages, years = random.integers(18, 90, (2, NUM_ROWS)), random.integers(1900, 2020, (2, NUM_ROWS))
    first, other = (
        pd.DataFrame({"age": ages[index], "year": years[index], "sold": np.where(np.arange(NUM_ROWS) % 2, "yes", "no")})
        for index in (0, 1)
    )
    prepared(tmp_path / "a.csv", first)
    second = unnamed(tmp_path / "b.npz", other)
    assert second.notes == ()
    assert len(second.y) + second.num_test == NUM_ROWS


TOLD: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "the same": lambda frame: frame,
    "a part": lambda frame: frame.sample(frac=0.4, random_state=0),
    "an index and a column more": lambda frame: frame.assign(floor=frame.year / 7).reset_index(names="Unnamed: 0"),
    "a part with a column more": lambda frame: frame.sample(frac=0.4, random_state=0).assign(floor=frame.year / 7),
}


@pytest.fixture
def locked(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A vault that was frozen elsewhere: this home knows of it by the project's lock alone."""
    vault = prepared(tmp_path / "a.csv", houses()).vault
    entry = registry.append(vault, "freeze", {}, selection="5" * 64)
    (tmp_path / "project").mkdir()
    project_lock.note_head(tmp_path / "project", vault, "freeze", entry)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "second home"))
    return vault


@pytest.mark.parametrize("change", TOLD)
def test_a_home_that_has_the_lock_alone_refuses_the_rows(locked: str, tmp_path: Path, change: str) -> None:
    with pytest.raises(VaultRefused, match=f"holdfast.lock: names vault {locked[:8]} for these rows"):
        prepared(tmp_path / "b.csv", TOLD[change](houses()), project=tmp_path / "project")


def test_a_home_that_has_the_lock_alone_takes_other_rows(locked: str, tmp_path: Path) -> None:
    other = pd.concat([houses()[:100], houses().assign(key=np.arange(NUM_ROWS) + 1000.5)])
    assert prepared(tmp_path / "b.csv", other, project=tmp_path / "project").vault != locked
