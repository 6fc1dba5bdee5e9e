from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow.csv import ParseOptions, read_csv
from pyarrow.json import read_json
from pyarrow.parquet import read_table

from holdfast.core.errors import InputError
from holdfast.inference.tables import as_table, check_suffix, column_names, columns_of_doubt, table_writer

READERS = {
    ".csv": lambda path: read_csv(path, parse_options=ParseOptions(newlines_in_values=True)),
    ".tsv": lambda path: read_csv(path, parse_options=ParseOptions(delimiter="\t", newlines_in_values=True)),
    ".parquet": read_table,
    ".jsonl": read_json,
}


def test_classes() -> None:
    table = as_table(np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]], np.float32), "multiclass", ("a", "b", "c"))
    assert list(table) == ["prediction", "probability_a", "probability_b", "probability_c"]
    assert table["prediction"].tolist() == ["b", "a"]
    assert table["probability_a"].tolist() == pytest.approx([0.1, 0.5])


def test_two_classes() -> None:
    table = as_table(np.array([0.5, 0.75], np.float32), "binary", ("no", "yes"))
    assert table["prediction"].tolist() == ["no", "yes"]
    assert table["probability_no"].tolist() == [0.5, 0.25]
    assert table["probability_yes"].tolist() == [0.5, 0.75]


def test_an_ensemble_says_how_sure_it_is() -> None:
    members = np.array([[1.0, 5.0], [4.0, 5.0]], np.float32)
    table = columns_of_doubt(members, members.mean(axis=0), "regression", (), [0.25, 0.75])
    assert {name: column.tolist() for name, column in table.items()} == {"spread": pytest.approx([1.6875**0.5, 0.0])}
    members = np.array([[0.9, 0.6], [0.2, 0.8]], np.float32)
    table = columns_of_doubt(members, np.array([0.5, 0.7], np.float32), "binary", ("no", "yes"), [0.25, 0.75])
    assert table["entropy"].tolist() == pytest.approx([np.log(2), -0.7 * np.log(0.7) - 0.3 * np.log(0.3)])
    assert table["disagreement"].tolist() == [0.25, 0.0]
    for task, classes in (("regression", ()), ("binary", ("no", "yes")), ("multilabel", ("sun", "rain"))):
        names = column_names(task, classes, is_ensemble=True)
        expected = ["spread"] if task == "regression" else ["entropy", "disagreement"]
        assert names == [*column_names(task, classes), *expected]


def test_labels_and_values() -> None:
    table = as_table(np.array([[0.9, 0.2], [0.6, 0.5]], np.float32), "multilabel", ("sun", "rain"))
    assert table["prediction_sun"].tolist() == [1, 1]
    assert table["prediction_rain"].tolist() == [0, 0]
    assert list(table)[2:] == ["probability_sun", "probability_rain"]
    assert as_table(np.array([1.5], np.float32), "regression", ())["prediction"].tolist() == [1.5]
    assert column_names("regression", ()) == ["prediction"]


def test_several_targets_have_a_column_each() -> None:
    names, p = ("price", "rent"), np.array([[1.5, 8.0], [2.5, 9.0]], np.float32)
    table = as_table(p, "multitarget", names)
    assert {name: column.tolist() for name, column in table.items()} == {
        "prediction_price": [1.5, 2.5],
        "prediction_rent": [8.0, 9.0],
    }
    doubts = columns_of_doubt(np.stack([p, p + [0.0, 2.0]]), p, "multitarget", names, [0.5, 0.5])
    assert {name: column.tolist() for name, column in doubts.items()} == {
        "spread_price": [0.0, 0.0],
        "spread_rent": [1.0, 1.0],
    }
    assert column_names("multitarget", names, is_ensemble=True) == [*table, *doubts]


@pytest.mark.parametrize("suffix", READERS)
def test_blocks_become_one_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    with table_writer(path, overwrite=False) as write:
        for start in (0, 2):
            ids = np.array([f"a,{start}", "ü\n"], object)
            write({"name": ids, "prediction": np.array([start, 0.1], np.float32)})
        assert not path.exists()
    table = READERS[suffix](path)
    assert table["name"].to_pylist() == ["a,0", "ü\n", "a,2", "ü\n"]
    assert table["prediction"].to_pylist() == pytest.approx([0, 0.1, 2, 0.1], abs=1e-7)
    if suffix != ".parquet":
        assert "0.1\n" in path.read_text() or "0.1}" in path.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", READERS)
def test_nothing_is_left_after_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    path.write_text("mine")

    def write_half() -> None:
        with table_writer(path, overwrite=True) as write:
            write({"row": [1], "prediction": np.zeros(1, np.float32)})
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_file_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"

    def write_slowly() -> None:
        with table_writer(path, overwrite=False) as write:
            write({"row": [1]})
            path.write_text("another's")

    with pytest.raises(InputError, match="exists"):
        write_slowly()
    assert path.read_text() == "another's"


def test_unknown_formats(tmp_path: Path) -> None:
    check_suffix(tmp_path / "P.CSV")
    with pytest.raises(InputError, match=r"p\.xlsx has no known format; allowed: \*\.csv, \*\.tsv, "):
        check_suffix(Path("p.xlsx"))
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"cannot be written \(File exists\)"),
        table_writer(tmp_path / "file" / "p.csv", overwrite=False),
    ):
        pass


def test_json_has_no_nan(tmp_path: Path) -> None:
    with table_writer(tmp_path / "p.jsonl", overwrite=False) as write:
        write({"row": [0, 1], "prediction": np.array([np.nan, 1.5], np.float32)})
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert rows == [{"row": 0, "prediction": None}, {"row": 1, "prediction": 1.5}]
