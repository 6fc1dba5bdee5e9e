"""Mixed tables on their way into the store and the vault."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from holdfast.core.errors import InputError, RunFailed
from holdfast.data.columns import MISSING
from holdfast.data.encrypted_spool import Spool
from holdfast.data.rows import Rows
from holdfast.data.sources.call import as_rows
from holdfast.data.store import store, worker, write
from holdfast.data.store.row_keys import forms_of, units_of
from holdfast.data.store.store import Prepared
from holdfast.data.store.worker import answer_request

NUM_ROWS = 200
SPLIT = {"_target_": "holdfast.data.splits.Holdout"}
TIMES = np.arange(NUM_ROWS) * 1.5


def mixed() -> pd.DataFrame:
    """Numbers with holes, and cities of which every second row has one of its own."""
    random = np.random.default_rng(0)
    size = np.where(random.random(NUM_ROWS) < 0.1, np.nan, random.normal(size=NUM_ROWS))
    city = [["Bonn", "Rome", None][row % 3] if row < 100 else f"village {row:03d}" for row in range(NUM_ROWS)]
    parts = np.where(np.arange(NUM_ROWS) % 5 == 0, "val", "train")
    facts = {"who": np.arange(NUM_ROWS) // 2, "day": TIMES, "part": parts, "y": np.arange(NUM_ROWS) % 2}
    return pd.DataFrame({"size": size, "city": city, **facts})


def rows_of(frame: pd.DataFrame, **settings: Any) -> Rows:
    return as_rows({"x": frame, "y": "y", "group": "who", "time": "day", "split_column": "part", **settings})


def prepare(monkeypatch: pytest.MonkeyPatch, rows: Rows, name: str = "mixed", vault: str = "once") -> Prepared:
    source = {"_target_": "holdfast.data.sources.embedded.digits"}
    monkeypatch.setattr(worker, "rows_of", lambda source: rows)
    request = store.make_request({"name": name, "source": {**source}}, SPLIT, {"policy": vault})
    answer_request({**request, "id": name})
    prepared = store.find_prepared({**request, "id": name})
    assert prepared is not None
    return prepared


def texts_of(prepared: Prepared) -> list[str]:
    return [prepared.columns[1].categories[int(code)] for code in prepared.x[:, 1]]


def test_a_mixed_table_is_stored(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = mixed()
    rows = rows_of(frame)
    prepared = prepare(monkeypatch, rows)
    assert prepared.times is not None
    development = np.isin(TIMES, prepared.times)
    assert development.sum() == NUM_ROWS - prepared.num_test
    expected = frame[development]
    assert np.array_equal(prepared.x[:, 0], expected["size"].to_numpy(np.float32), equal_nan=True)
    assert texts_of(prepared) == expected["city"].fillna(MISSING).tolist()
    for name in ("groups", "parts", "y"):
        assert np.array_equal(getattr(prepared, name), getattr(rows, name)[development])
    assert [column.name for column in prepared.columns] == ["size", "city"]
    assert list(prepared.columns[1].categories) == sorted(set(texts_of(prepared)))
    (note,) = prepared.notes
    assert note.startswith("the source declares 160 train, 40 val and 0 test rows")
    assert capsys.readouterr().err.count(f"holdfast: {note}\n") == 1


def test_a_category_that_only_test_rows_have_is_told_nowhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = mixed()
    prepared = prepare(monkeypatch, rows_of(frame))
    sealed = sorted(set(frame["city"].dropna()) - set(prepared.columns[1].categories))
    assert len(sealed) > 10
    content = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert prepared.columns[1].categories[-1].encode() in content
    assert not any(city.encode() in content for city in sealed)
    assert prepared.x[:, 1].min() == 0


def test_rows_that_differ_in_their_identifier_alone_stay_on_one_side(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = mixed().drop(columns=["who", "part"])
    frame.iloc[1:10:2, :3] = frame.iloc[0:10:2, :3].to_numpy()  # five pairs
    frame = frame.assign(id=[f"row {number:03d}" for number in range(NUM_ROWS)])
    prepared = prepare(monkeypatch, rows_of(frame, group=None, split_column=None, types={"id": "category"}))
    assert (prepared.columns[2].name, len(prepared.columns[2].categories)) == ("id", len(prepared.x))
    numbers = np.array([int(text.removeprefix("row ")) for text in prepared.columns[2].categories])
    assert not (np.bincount(numbers[numbers < 10] // 2, minlength=5) == 1).any()


def test_rows_that_a_view_makes_equal_are_not_tied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = mixed().assign(shift=np.arange(NUM_ROWS) % 2)
    settings = {"group": None, "split_column": None, "drop": ["size", "city"]}
    prepared = prepare(monkeypatch, rows_of(frame.drop(columns=["who", "part"]), **settings))
    assert len(np.unique(prepared.x)) == 2
    assert prepared.num_test == 40, "one share of all rows, whatever a run sees of them"
    assert prepared.num_left_out == 0


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("vault", ["once", "none"])
def test_a_table_of_numbers_is_known_as_a_file_and_as_an_array(
    home: Path, monkeypatch: pytest.MonkeyPatch, is_first: bool, vault: str
) -> None:
    x = np.round(np.random.default_rng(0).normal(size=(NUM_ROWS, 3)), 3)
    y, names = np.arange(NUM_ROWS) % 2, ("c", "a", "b")
    array = as_rows({"x": x.astype(np.float32), "y": y, "feature_names": names})
    frame = pd.DataFrame(x, columns=list(names)).assign(id=range(NUM_ROWS), y=y)
    file = as_rows((frame.sample(frac=1, random_state=0), "y"))
    first, second = (array, file) if is_first else (file, array)
    former = prepare(monkeypatch, first)
    later = prepare(monkeypatch, second, name="again", vault=vault)
    assert later.vault == former.vault if vault == "once" else later.vault.startswith("none-")
    columns = [later.feature_names.index(name) for name in names]
    known = {row.tobytes() for row in former.x[:, [former.feature_names.index(name) for name in names]]}
    assert {row.tobytes() for row in np.array(later.x[:, columns], np.float32)} == known
    assert len(later.x) == len(former.x) == 160


def test_without_a_vault_declared_test_rows_are_left_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = mixed().assign(part=np.where(np.arange(NUM_ROWS) < 40, "test", "train"), size=np.arange(NUM_ROWS) / 7)
    prepared = prepare(monkeypatch, rows_of(frame), vault="none")
    assert (len(prepared.x), prepared.num_test, prepared.num_left_out) == (160, 0, 40)


def test_rows_of_a_spool_are_known_as_those_of_an_array(home: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32), np.arange(50) % 2
    spool = Spool((3,), np.float32)
    spool.append(x)
    groups = np.arange(50) // 2
    first, second = (Rows(array, y, "binary", "table", ("no", "yes"), groups=groups) for array in (spool, x))
    forms = [forms_of(rows) for rows in (first, second)]
    assert np.array_equal(forms[0].digests[:], forms[1].digests[:])
    units = [units_of(known.digests, rows.groups) for rows, known in zip((first, second), forms, strict=True)]
    assert np.array_equal(units[0], units[1])
    assert len(np.unique(units[0], axis=0)) == 25


@pytest.mark.parametrize("step", ["_save_blocks", "_viewed"])
def test_a_disk_that_fills_while_rows_are_written_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(write, step, fail)
        with pytest.raises(
            RunFailed, match=r"the rows could not be stored \(No space left on device\); next: free some"
        ):
            prepare(monkeypatch, rows_of(mixed()))
    left = {path.name for path in (home / "store" / "rows").rglob("*")}
    assert "x.npy" not in left
    assert ("y.npy" in left) == (step == "_viewed")
    assert not any(name.endswith(".tmp") for name in left)
    assert not (home / "store" / "pending").exists()
    assert len(prepare(monkeypatch, rows_of(mixed())).x) == 160
    assert len(list((home / "vaults").glob("[0-9a-f]*"))) == 1, "what was sealed goes on"


def test_a_subset_of_more_rows_than_there_are_is_told_before_anything_is_sealed(home: Path) -> None:
    data = {"name": "digits", "source": {"_target_": "holdfast.data.sources.embedded.digits"}}
    with pytest.raises(InputError, match=r"data.subset: is 5,000; there are 1,438 train and val rows"):
        answer_request(store.make_request({**data, "subset": 5000}, SPLIT, {"policy": "once"}))
    assert list((home / "vaults").glob("[0-9a-f]*")) == []
