"""Mixed tables on their way into the store and the vault."""

from __future__ import annotations

import errno
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.core.errors import InputError, RunFailed, VaultRefused
from holdfast.data.columns import Column
from holdfast.data.rows import Rows
from holdfast.data.spool import Spool
from holdfast.data.store import partition, store, write
from holdfast.data.store.store import Prepared
from holdfast.data.store.worker import answer_request
from holdfast.vault.rows.identity import table_digests

NUM_ROWS = 200
CITIES = tuple(sorted(["", "Bonn", "Rome", *(f"village {index:03d}" for index in range(NUM_ROWS - 100))]))


def mixed() -> Rows:
    """Numbers with holes, and cities of which every second row has one of its own."""
    random = np.random.default_rng(0)
    size = np.where(random.random(NUM_ROWS) < 0.1, np.nan, random.normal(size=NUM_ROWS)).astype(np.float32)
    own = [CITIES.index(f"village {index:03d}") for index in range(NUM_ROWS - 100)]
    city = np.concatenate([np.arange(100) % 3, own]).astype(np.float32)
    x = Spool((2,), np.float32)
    x.append(np.column_stack([size, city]))
    names, columns = ("size", "city"), (Column("size", "number"), Column("city", "category", CITIES))
    y, classes = np.arange(NUM_ROWS) % 2, ("no", "yes")
    facts: dict[str, Any] = {"groups": np.arange(NUM_ROWS) // 2, "times": np.arange(NUM_ROWS) * 1.5}
    parts = (np.arange(NUM_ROWS) % 5 == 0).astype(np.int8)
    return Rows(x, y, "binary", "table", classes, names, columns=columns, parts=parts, notes=("one", "two"), **facts)


def prepare(monkeypatch: pytest.MonkeyPatch, rows: Rows, name: str = "mixed", vault: str = "once") -> Prepared:
    source = {"_target_": "holdfast.data.sources.digits.load"}
    monkeypatch.setattr(partition, "rows_of", lambda source: rows)
    split = {"_target_": "holdfast.data.splits.Holdout", "_partial_": True}
    request = store.make_request({"name": name, "source": {**source, "_partial_": True}}, split, {"policy": vault})
    return store.open_prepared(answer_request({**request, "id": name}))


def texts(x: NDArray[Any], columns: tuple[Column, ...]) -> list[str]:
    return [columns[1].categories[int(code)] for code in x[:, 1]]


def test_a_mixed_table_is_stored(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = mixed()
    prepared = prepare(monkeypatch, rows)
    x = rows.x[:]
    development = np.isin(rows.times, prepared.times)  # type: ignore[arg-type]
    assert development.sum() == NUM_ROWS - prepared.num_test
    assert np.array_equal(prepared.x[:, 0], x[development, 0], equal_nan=True)
    assert texts(prepared.x, prepared.columns) == texts(x[development], rows.columns)
    for name in ("groups", "parts", "y"):
        assert np.array_equal(getattr(prepared, name), getattr(rows, name)[development])
    assert prepared.columns[0] == rows.columns[0]
    assert list(prepared.columns[1].categories) == sorted(set(texts(x[development], rows.columns)))
    assert prepared.notes == ("one", "two")
    assert capsys.readouterr().err.count("holdfast: one\n") == 1


def test_a_category_that_only_test_rows_have_is_told_nowhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(monkeypatch, mixed())
    sealed = sorted(set(CITIES) - set(prepared.columns[1].categories))
    assert len(sealed) > 10
    content = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert prepared.columns[1].categories[-1].encode() in content
    assert not any(city.encode() in content for city in sealed)
    assert prepared.x[:, 1].min() == 0


def test_rows_that_differ_in_what_is_left_out_stay_on_one_side(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = mixed()
    x = np.repeat(rows.x[:100], 2, axis=0)
    identity = table_digests({"id": np.arange(NUM_ROWS), "size": x[:, 0], "city": x[:, 1]})
    rows = replace(rows, x=x, source_digests=identity, groups=None, parts=None, times=np.arange(NUM_ROWS) // 2)
    prepared = prepare(monkeypatch, rows)
    assert len(np.unique(prepared.digests, axis=0)) == len(prepared.x)
    assert prepared.num_test % 2 == 0
    assert np.bincount(prepared.times).tolist().count(1) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_table_of_numbers_is_known_as_a_file_and_as_an_array(
    home: Path, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    x = np.round(np.random.default_rng(0).normal(size=(NUM_ROWS, 3)), 3)
    y, names = np.arange(NUM_ROWS) % 2, ("c", "a", "b")
    array = Rows(x.astype(np.float32), y, "binary", "table", ("no", "yes"))
    cells = {"id": np.arange(NUM_ROWS), **{name: x[:, index] for index, name in enumerate(names)}}
    columns = tuple(Column(name, "number") for name in names)
    file = replace(array, feature_names=names, columns=columns, source_digests=table_digests(cells))
    first, second = (array, file) if is_first else (file, array)
    prepare(monkeypatch, first)
    for vault in ("once", "none"):
        with pytest.raises(VaultRefused, match=r"of these rows are sealed in vault \w+ \(mixed\)"):
            prepare(monkeypatch, second, name="again", vault=vault)


def test_without_a_vault_declared_test_rows_are_left_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).normal(size=(NUM_ROWS, 2)).astype(np.float32)
    rows = replace(mixed(), x=x, columns=(), parts=np.where(np.arange(NUM_ROWS) < 40, 2, 0).astype(np.int8))
    prepared = prepare(monkeypatch, rows, vault="none")
    assert (len(prepared.x), prepared.num_test, prepared.num_left_out) == (160, 0, 40)


def test_rows_of_a_spool_are_known_as_those_of_an_array(home: Path) -> None:
    rows = mixed()
    first, second = partition.identity_of(rows), partition.identity_of(replace(rows, x=rows.x[:]))
    assert np.array_equal(first.digests[:], second.digests[:])
    assert np.array_equal(first.units, second.units)
    assert np.array_equal(first.forms["features and target"][3:9], second.forms["features and target"][3:9])


def test_a_disk_without_room_is_told_before_anything_is_sealed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: types.SimpleNamespace(free=1000))
    with pytest.raises(RunFailed, match=r"has 0 MiB left, and the rows take 0 MiB; next: free some space, or set HOLD"):
        prepare(monkeypatch, mixed())
    assert [path.name for path in home.rglob("*") if path.is_file()] == [".lock"]


def test_a_disk_that_fills_while_rows_are_written_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(write, "_save", fail)
        with pytest.raises(
            RunFailed, match=r"the rows could not be stored \(No space left on device\); next: free some"
        ):
            prepare(monkeypatch, mixed())
    assert list((home / "store" / "rows").iterdir()) == []
    assert not (home / "store" / "pending").exists()
    assert len(prepare(monkeypatch, mixed()).x)


def test_a_subset_of_more_rows_than_there_are_is_told_before_anything_is_sealed(home: Path) -> None:
    split = {"_target_": "holdfast.data.splits.Holdout", "_partial_": True}
    data = {"name": "digits", "source": {"_target_": "holdfast.data.sources.digits.load", "_partial_": True}}
    with pytest.raises(InputError, match=r"data.subset: is 5,000; there are 1,438 train and val rows"):
        answer_request(store.make_request({**data, "subset": 5000}, split, {"policy": "once"}))
    assert not (home / "vaults").exists()
